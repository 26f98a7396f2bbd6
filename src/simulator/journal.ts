/**
 * The journal: what each device sent and received and what that changed, one JSON object a line. It is the evidence
 * that an upgrade is judged by from outside, so nothing is left out and an entry is never changed.
 */
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';

import { BrambleError } from '../base/errors.ts';

export type RequestKind =
  | 'activate'
  | 'scep-capabilities'
  | 'scep-certificate'
  | 'scep-enrol'
  | 'authenticate'
  | 'token-update'
  | 'check-out'
  | 'idle'
  | 'answer';

/**
 * Why a request did not succeed. `identity` is a 400, `unenrolled` a 401 or a 403 that makes a device leave management,
 * `given-up` one that the simulator itself aborted (fault injection or stopping): not the server's fault.
 */
export type FailureClass =
  | 'connect'
  | 'tls'
  | 'reset'
  | 'timeout'
  | 'unavailable'
  | 'server-error'
  | 'identity'
  | 'refused'
  | 'unenrolled'
  | 'malformed-reply'
  | 'given-up';

/** What a device tells about a command. */
export type AnswerStatus = 'Acknowledged' | 'Error' | 'NotNow' | 'CommandFormatError';

/** A configuration profile as a device sees it. */
export interface ProfileFacts {
  readonly identifier: string;
  readonly uuid: string;
  /** SHA-256 of the bytes as received, 16 hex digits: what the domain calls the revision of a compiled profile. */
  readonly revision: string;
  /** The release that compiled it, if the profile names it (`BrambleRelease`). */
  readonly release?: string;
  /** `name` is the payload's identifier without the profile's, such as `[CMIME]-S10000001` for a service book. */
  readonly payloads: readonly { readonly type: string; readonly name: string }[];
}

export type JournalEvent =
  | { event: 'fleet-started'; seed: string; publicUrl: string }
  | ({ event: 'request'; request: RequestKind; startedAt: number; latencyMs: number; ok: boolean } & RequestDetail)
  | { event: 'told'; commandUuid: string; requestType: string; profile?: ProfileFacts; profileIdentifier?: string }
  | { event: 'told-again'; commandUuid: string; requestType: string }
  | { event: 'executed'; commandUuid: string; requestType: string; status: AnswerStatus; errorCode?: number }
  | { event: 'answered'; commandUuid: string; requestType: string; status: AnswerStatus; again: boolean }
  | { event: 'profile-installed'; commandUuid: string; profile: ProfileFacts; replacedUuid?: string }
  | { event: 'profile-removed'; commandUuid: string; profileIdentifier: string }
  | { event: 'options-changed'; commandUuid: string; options: Readonly<Record<string, unknown>> }
  | { event: 'identity-renewed'; commandUuid: string; fingerprint: string }
  | { event: 'locked' | 'erased'; commandUuid: string }
  | { event: 'activated' | 'enrolled' | 'checked-out' | 'vanished' | 'came-back' | 'woken' }
  | { event: 'activation-refused'; httpStatus: number; code?: string }
  | { event: 'unenrolled'; httpStatus: number }
  | { event: 'push-refused'; httpStatus: number; reason: string }
  | { event: 'tunnel-opened'; tunnel: string; target: string; latencyMs: number }
  | { event: 'tunnel-refused'; tunnel: string; target: string; httpStatus: number; code?: string }
  | { event: 'tunnel-broken'; tunnel: string; target: string; reason: string; sentBytes: number; receivedBytes: number }
  | { event: 'tunnel-closed'; tunnel: string; target: string; sentBytes: number; receivedBytes: number }
  | { event: 'trouble'; message: string };

interface RequestDetail {
  httpStatus?: number;
  failure?: FailureClass;
  message?: string;
  /** Of the command that an `answer` is about. */
  commandUuid?: string;
  status?: AnswerStatus;
  /** Part of a closed probing loop. */
  probe?: true;
  /** Sent a second time, because its kept-alive connection ended before any part of an answer arrived. */
  sentAgain?: true;
}

/** One line; device and account are empty for what concerns the whole fleet. `at` is milliseconds since the epoch, from a clock that never goes back while the process lives. */
export type JournalEntry = { at: number; device: string; account: string } & JournalEvent;

/** Milliseconds since the epoch by the monotone clock. */
export function monotoneNow(): number {
  return performance.timeOrigin + performance.now();
}

export interface Journal {
  write(device: string, account: string, event: JournalEvent): void;
  /** Resolves when everything written so far has left the process. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param path file to append to; without one entries only go to `observe`
 * @param observe sees every entry, in order
 */
export function openJournal(path: string | undefined, observe?: (entry: JournalEntry) => void): Journal {
  const stream = path === undefined ? undefined : createWriteStream(path, { flags: 'a', mode: 0o600 });
  let failure: Error | undefined;
  stream?.on('error', (error) => {
    failure = error;
  });
  const fail = (): never => {
    throw new BrambleError('ERR_JOURNAL', `The journal ${path} cannot be written: ${failure?.message}.`, {
      cause: failure,
    });
  };
  let lines: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  const push = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (stream !== undefined && lines.length > 0) stream.write(lines.join(''));
    lines = [];
  };

  return {
    write(device, account, event) {
      const entry: JournalEntry = { at: Math.round(monotoneNow() * 100) / 100, device, account, ...event };
      observe?.(entry);
      if (stream === undefined) return;
      if (failure !== undefined) fail();
      lines.push(`${JSON.stringify(entry)}\n`);
      if (lines.length >= 512) push();
      else timer ??= setTimeout(push, 50).unref();
    },
    async flush() {
      push();
      if (stream !== undefined) await new Promise<void>((resolve) => stream.write('', () => resolve()));
      if (failure !== undefined) fail();
    },
    async close() {
      push();
      if (stream !== undefined) await new Promise<void>((resolve) => stream.end(() => resolve()));
      if (failure !== undefined) fail();
    },
  };
}

/**
 * Reads a journal, also one that is still being written: a last line without its end is left out.
 * @throws BrambleError ERR_JOURNAL for a whole line that is not an entry
 */
export async function readJournal(path: string): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  const file = await open(path);
  try {
    let rest = '';
    for await (const chunk of file.createReadStream({ encoding: 'utf8', highWaterMark: 1 << 20, autoClose: false })) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) entries.push(parseEntry(line, path));
    }
  } finally {
    await file.close();
  }
  return entries;
}

function parseEntry(line: string, path: string): JournalEntry {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new BrambleError('ERR_JOURNAL', `${path} has a line that is not JSON; is it a journal?`, { cause });
  }
  if (typeof value === 'object' && value !== null && 'at' in value && 'device' in value && 'event' in value) {
    return value as JournalEntry;
  }
  throw new BrambleError('ERR_JOURNAL', `${path} has a line that is not a journal entry.`);
}
