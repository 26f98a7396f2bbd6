/**
 * The rules by which one process is brought to what is wanted of it: pure, so that every combination can be tested.
 *
 *     wanted \ running   none                    the same   another (release, settings, database)
 *     none               nothing                 stop       stop
 *     some               start, once it is time  nothing    a router: replace, once it is time; else stop, then start
 */

/** What a process is started from; two that are equal need no restart. */
export interface ProcessSpec {
  readonly name: string;
  readonly kind: string;
  readonly release: string;
  readonly settings: unknown;
  /** null for routers, which know no database. */
  readonly databaseUrl: string | null;
}

export type SlotStep =
  | { type: 'nothing' }
  | { type: 'start'; spec: ProcessSpec }
  | { type: 'stop' }
  | { type: 'replace'; spec: ProcessSpec }
  | { type: 'wait'; waitMs: number };

export interface SlotFacts {
  wanted: ProcessSpec | null;
  running: ProcessSpec | null;
  /** The last attempt that failed: what it was made from, and when the next may be made. */
  failure: { spec: ProcessSpec; notBeforeMs: number } | null;
  nowMs: number;
}

export function nextStep({ wanted, running, failure, nowMs }: SlotFacts): SlotStep {
  if (wanted === null) {
    return running === null ? { type: 'nothing' } : { type: 'stop' };
  }
  if (running !== null && sameSpec(wanted, running)) {
    return { type: 'nothing' };
  }
  const replaces = running !== null && running.kind === 'router' && wanted.kind === 'router';
  if (running !== null && !replaces) {
    return { type: 'stop' };
  }
  // What has not failed yet is not delayed by the failure of something else.
  if (failure !== null && sameSpec(failure.spec, wanted) && failure.notBeforeMs > nowMs) {
    return { type: 'wait', waitMs: failure.notBeforeMs - nowMs };
  }
  return { type: replaces ? 'replace' : 'start', spec: wanted };
}

export function sameSpec(a: ProcessSpec, b: ProcessSpec): boolean {
  return textOf(a) === textOf(b);
}

function textOf({ name, kind, release, settings, databaseUrl }: ProcessSpec): string {
  return JSON.stringify([name, kind, release, settings, databaseUrl]);
}

const firstDelayMs = 200;
const lastDelayMs = 10_000;
/** A process that lived this long has not failed at starting: the next delay is the first again. */
export const healthyLifeMs = 30_000;

/** Milliseconds before the next attempt after so many failures in a row (1 or more). */
export function restartDelayMs(failures: number): number {
  return Math.min(lastDelayMs, firstDelayMs * 2 ** Math.min(failures - 1, 10));
}
