/**
 * Watches which processes the domain wants on this host. A notification only hastens the next look, which happens
 * anyway.
 *
 * Invariant: without the database nothing changes. An outage, a missing table or an unreadable row is never taken for
 * "nothing is wanted". And the supervisor's report about itself there is optional: without it, the supervisor works all
 * the same.
 */

import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { createBell } from '../../base/bell.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { assertOwnSessions } from '../../database/pooler-check.ts';
import { openSession, type Session, type Sql } from '../../database/session.ts';
import { isUndefinedTable } from '../../database/sql-state.ts';
import type { OnEvent } from './events.ts';
import { reportEveryMs, reportSelf, type SelfReport } from './self-report.ts';

const rowSchema = z.object({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  kind: z.string().regex(/^[a-z]{1,32}$/),
  host: z.string(),
  release: z.string().regex(/^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$/),
  state: z.enum(['running', 'stopped']),
  settings: z.unknown(),
});

export type DesiredProcess = z.output<typeof rowSchema>;

export interface Desired {
  readonly processes: readonly DesiredProcess[];
  /** Names of rows that this supervisor does not understand; their processes are left as they are. */
  readonly unreadable: readonly string[];
  /** The other host that an upgrade's coordinator is to run on, if there is one. */
  readonly steeredFrom: string | null;
}

interface WatchOptions {
  host: string;
  /** Finds the database, and starts it if it is the embedded one; called again after each failure. */
  openDatabase: (signal: AbortSignal) => Promise<{ url: string; adopted: boolean; pid: number | null }>;
  /** The same database, entered as the role that looks. */
  ownAddress: (url: string) => string;
  onDesired: (desired: Desired, url: string) => void;
  /** The supervisor's report about itself in the database. */
  self: SelfReport;
  /** Asked of each session before anything else. @throws BrambleError ERR_HOST_REMOVED */
  assertAdmitted: (sql: Sql) => Promise<void>;
  onEvent: OnEvent;
  signal: AbortSignal;
}

/** Between two looks without a notification. */
const pollMs = 5000;
const retryMs = 250;
const statementTimeoutMs = 5000;
const timedOut = 'ERR_DATABASE_TIMEOUT';

/** Why it could not report itself; logged once, across all sessions. */
interface ReportTrouble {
  code: string | null;
}

/** Returns when the signal is aborted. @throws BrambleError ERR_HOST_REMOVED */
export async function watchDesired(options: WatchOptions): Promise<void> {
  const { signal, onEvent } = options;
  let lost = false;
  const trouble: ReportTrouble = { code: null };
  while (!signal.aborted) {
    try {
      const { url, adopted, pid } = await options.openDatabase(signal);
      await watchConnected(url, options, trouble, () => {
        onEvent({ type: 'database-ready', adopted, pid });
        lost = false;
      });
    } catch (error) {
      if (isBrambleError(error, 'ERR_HOST_REMOVED')) throw error;
      if (!lost && !signal.aborted) {
        onEvent({ type: 'database-lost', code: codeOf(error), message: messageOf(error) });
        lost = true;
      }
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** Looks until the signal is aborted, or throws when the database does not answer. */
async function watchConnected(
  url: string,
  options: WatchOptions,
  trouble: ReportTrouble,
  onConnected: () => void,
): Promise<void> {
  const address = options.ownAddress(url);
  const applicationName = `bramble/supervisor@${options.host}#${process.pid}`.slice(0, 63);
  await assertOwnSessions(address, { applicationName, signal: options.signal });
  const bell = createBell();
  const session = await openSession(address, {
    ...{ applicationName, connectTimeoutMs: statementTimeoutMs, signal: options.signal },
    onNotify: bell.ring,
  });
  // Registered once: a listener for each look would be kept for the session's whole life.
  void session.lost.then(bell.ring);
  try {
    await withDeadline(session.run(options.assertAdmitted));
    onConnected();
    await withDeadline(session.run((sql) => sql`listen bramble_desired`));
    let reportAtMs = 0;
    while (!options.signal.aborted) {
      await look(session, url, options);
      if (performance.now() >= reportAtMs) reportAtMs = performance.now() + (await report(session, options, trouble));
      // Without its session, the next look fails at once.
      await bell.rest(pollMs, options.signal);
    }
  } finally {
    session.close();
  }
}

/** @returns how long until the next report, in ms. @throws if the database cannot be reached */
async function report(
  session: Session,
  { self, onEvent }: Pick<WatchOptions, 'self' | 'onEvent'>,
  trouble: ReportTrouble,
): Promise<number> {
  try {
    await withDeadline(session.run((sql) => reportSelf(sql, self)));
    trouble.code = null;
  } catch (error) {
    const code = codeOf(error);
    // Its table does not exist yet, and may at the next look.
    if (isUndefinedTable(error)) return 0;
    if (session.isLost() || code === timedOut) throw error;
    if (code !== trouble.code) onEvent({ type: 'not-reported', code, message: messageOf(error) });
    trouble.code = code;
  }
  return reportEveryMs;
}

async function look(session: Session, url: string, { host, onDesired }: WatchOptions): Promise<void> {
  let rows: readonly Record<string, unknown>[];
  try {
    rows = await withDeadline(
      session.run(
        (sql) => sql<Record<string, unknown>[]>`
          select name, kind, host, release, state, settings from desired_process
           where host = ${host} or (kind = 'coordinator' and state = 'running') order by name`,
      ),
    );
  } catch (error) {
    if (isUndefinedTable(error)) return;
    throw error;
  }
  const own = rows.filter((row) => row['host'] === host);
  const steering = rows.find((row) => row['host'] !== host);
  const read = own.map((row) => rowSchema.safeParse(row));
  const processes = read.flatMap((row) => (row.success ? [row.data] : []));
  const unreadable = own.filter((_, index) => read[index]?.success === false).map((row) => String(row['name']));
  onDesired({ processes, unreadable, steeredFrom: steering === undefined ? null : String(steering['host']) }, url);
}

/** A stopped server (SIGSTOP), or one behind a cut cable, never answers. */
async function withDeadline<Result>(work: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = Object.assign(new Error(`The database did not answer within ${statementTimeoutMs} ms.`), {
      code: timedOut,
    });
    timer = setTimeout(() => reject(error), statementTimeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function codeOf(error: unknown): string {
  const code = isBrambleError(error) ? error.code : (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : 'ERR_DATABASE';
}
