/**
 * The events of a supervisor as JSON lines. Invariant: `pid` is the supervisor itself, as in every log; the process that
 * an event is about is `processId`.
 */
import { type DestinationStream, pino } from 'pino';
import type { OnEvent, SupervisorEvent } from './events.ts';

const warnings: ReadonlySet<SupervisorEvent['type']> = new Set([
  'refused',
  'release-not-fetched',
  'hung',
  'not-adopted',
  'not-inherited',
  'waiting-for-disk',
  'database-lost',
  'not-reported',
  'restarting',
]);

export function createEventLog(destination?: DestinationStream): OnEvent {
  const options = { base: { pid: process.pid, component: 'supervisor' }, timestamp: pino.stdTimeFunctions.isoTime };
  const log = destination === undefined ? pino(options) : pino(options, destination);
  return (event) => {
    const { pid: processId, ...fields }: SupervisorEvent & { pid?: number | null } = event;
    log[warnings.has(event.type) ? 'warn' : 'info'](
      processId === undefined ? fields : { ...fields, processId },
      event.type,
    );
  };
}
