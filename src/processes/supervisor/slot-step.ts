/**
 * The rules that bring one process to its desired state: pure, so that every combination can be tested.
 *
 *     wanted \ running   none                    the same   another (release, settings, database)
 *     none               nothing                 stop       stop
 *     some               start, once it is time  nothing    one that yields: replace, once it is time; else stop, then start
 *
 * A process known only from its adoption is kept as it is and not restarted: its credential is not known.
 *
 * A router yields its sockets to any successor. An instance or a connection service yields to one of another release:
 * both have one identifier, and the later one's link replaces the earlier one's.
 */

import { databaseWithoutCredential } from '../../process/adoption-messages.ts';

/** What a process is started from; two that are equal need no restart. */
export interface ProcessSpec {
  readonly name: string;
  readonly kind: string;
  readonly release: string;
  readonly settings: unknown;
  /** null for routers and signposts, which have no database access. */
  readonly databaseUrl: string | null;
  /** For an adopted process the database is known, but not the credential. */
  readonly credentialUnknown?: boolean;
}

export type SlotStep =
  | { type: 'nothing' }
  | { type: 'start'; spec: ProcessSpec }
  | { type: 'stop' }
  | { type: 'replace'; spec: ProcessSpec }
  | { type: 'wait'; waitMs: number };

interface SlotFacts {
  wanted: ProcessSpec | null;
  running: ProcessSpec | null;
  /** The running process has reported that it keeps running beside a successor of its name until it is stopped. */
  yields: boolean;
  /** The last failed attempt: its specification, and when the next may be made. */
  failure: { spec: ProcessSpec; notBeforeMs: number } | null;
  nowMs: number;
}

export function nextStep({ wanted, running, yields, failure, nowMs }: SlotFacts): SlotStep {
  if (wanted === null) {
    return running === null ? { type: 'nothing' } : { type: 'stop' };
  }
  if (running !== null && sameSpec(wanted, running)) {
    return { type: 'nothing' };
  }
  // It would have no database credential; the desired state will be known soon.
  if (running === null && wanted.credentialUnknown === true) {
    return { type: 'nothing' };
  }
  const replaces = running !== null && isSucceeded(running, wanted, yields);
  if (running !== null && !replaces) {
    return { type: 'stop' };
  }
  // A specification that has not failed yet is not delayed by the failure of another.
  if (failure !== null && sameSpec(failure.spec, wanted) && failure.notBeforeMs > nowMs) {
    return { type: 'wait', waitMs: failure.notBeforeMs - nowMs };
  }
  return { type: replaces ? 'replace' : 'start', spec: wanted };
}

function isSucceeded(running: ProcessSpec, wanted: ProcessSpec, yields: boolean): boolean {
  if (running.kind === 'router') return wanted.kind === 'router';
  // With other settings it may be another instance.
  return yields && sameSpec({ ...running, release: wanted.release }, wanted);
}

export function sameSpec(a: ProcessSpec, b: ProcessSpec): boolean {
  const withoutCredential = a.credentialUnknown === true || b.credentialUnknown === true;
  return textOf(a, withoutCredential) === textOf(b, withoutCredential);
}

function textOf({ name, kind, release, settings, databaseUrl }: ProcessSpec, withoutCredential: boolean): string {
  const database = databaseUrl !== null && withoutCredential ? databaseWithoutCredential(databaseUrl) : databaseUrl;
  return JSON.stringify([name, kind, release, settings ?? {}, database]);
}

const firstDelayMs = 200;
const lastDelayMs = 10_000;
/** A process that lived this long has not failed at starting: the next delay is the first again. */
export const healthyLifeMs = 30_000;

/** Milliseconds before the next attempt after so many failures in a row (1 or more). */
export function restartDelayMs(failures: number): number {
  return Math.min(lastDelayMs, firstDelayMs * 2 ** Math.min(failures - 1, 10));
}
