/** The events of a supervisor: their shapes, and their texts for a terminal. */
import type { SocketName } from '../../process/own-process.ts';

export type SupervisorEvent =
  | { type: 'listening'; socket: SocketName; port: number }
  | { type: 'closed'; socket: SocketName; port: number }
  | { type: 'no-console'; code: string; message: string }
  | { type: 'waiting-for-port'; socket: 'public' | 'srp'; port: number }
  | { type: 'waiting-for-disk'; message: string }
  | { type: 'taking-over'; pid: number; release: string | null }
  | { type: 'adopted'; name: string; kind: string; release: string; pid: number }
  | { type: 'not-adopted'; name: string; pid: number }
  | { type: 'not-inherited'; sockets: readonly ('public' | 'srp')[] }
  | { type: 'handing-over'; release: string }
  | { type: 'handed-over' }
  | { type: 'database-ready'; adopted: boolean; pid: number | null }
  | { type: 'database-replacing'; version: string }
  | { type: 'database-lost'; code: string; message: string }
  | { type: 'not-reported'; code: string; message: string }
  | { type: 'started'; name: string; kind: string; release: string; pid: number }
  | { type: 'ready'; name: string; pid: number }
  | { type: 'hung'; name: string; pid: number; silentMs: number }
  | { type: 'exited'; name: string; pid: number; code: number | null; signal: string | null; expected: boolean }
  | { type: 'restarting'; name: string; inMs: number }
  | { type: 'replaced'; name: string; fromRelease: string; toRelease: string; pid: number }
  | { type: 'refused'; name: string; code: string; message: string }
  | { type: 'release-fetched'; release: string }
  | { type: 'release-removed'; release: string }
  | { type: 'release-not-fetched'; release: string; code: string; message: string }
  | { type: 'backup-begun'; pid: number }
  | { type: 'backup-ended'; code: number | null; signal: string | null }
  | { type: 'backup-not-begun'; code: string; message: string }
  | { type: 'router-certified'; name: string }
  | { type: 'router-not-certified'; name: string; message: string }
  | { type: 'log-not-rotated'; name: string; message: string }
  | { type: 'stopped' };

export type OnEvent = (event: SupervisorEvent) => void;

type Texts = {
  readonly [Type in SupervisorEvent['type']]: (event: Extract<SupervisorEvent, { type: Type }>) => string;
};

const texts: Texts = {
  listening: (event) => `${event.socket} port ${event.port} is open`,
  closed: (event) =>
    `${event.socket} port ${event.port} is closed: ` +
    (event.socket === 'console' ? 'nobody answers on it' : 'no router is to run here'),
  'no-console': (event) =>
    `the console has no port, everything else works; will retry: ${event.message} (${event.code})`,
  'waiting-for-port': (event) => `${event.socket} port ${event.port} is still in use; waiting for it`,
  'waiting-for-disk': (event) =>
    `processes wait a few seconds for a supervisor, and this one is waiting for disk space: ${event.message}`,
  'taking-over': (event) =>
    `taking over from the supervisor of ${event.release ?? '1.1 or earlier'} (process ${event.pid})`,
  adopted: (event) => `${event.name} ${event.release} keeps running and is adopted (process ${event.pid})`,
  'not-adopted': (event) =>
    `${event.name} (process ${event.pid}) had no supervisor and did not report; it is killed and restarted`,
  'not-inherited': (event) =>
    `the running routers do not pass on the ${event.sockets.join(' and ')} port as configured: they are ` +
    'stopped, and it is opened again; devices wait in the meantime',
  'handing-over': (event) => `a supervisor of ${event.release} is taking over; the processes keep running`,
  'handed-over': () => 'everything was handed over',
  'database-ready': (event) => (event.adopted ? 'PostgreSQL is running' : 'PostgreSQL was started'),
  'database-replacing': (event) =>
    `PostgreSQL was started from other binaries: it is restarted from ${event.version}; requests wait in the ` +
    'meantime',
  'database-lost': (event) => `the database does not answer; will retry: ${event.message} (${event.code})`,
  'not-reported': (event) =>
    `this supervisor cannot report itself to the domain, but keeps working: ${event.message} (${event.code}); ` +
    'finalizing an upgrade waits until it is. `bramble database roles --check` names missing rights',
  started: (event) => `${event.name} ${event.release} is starting (process ${event.pid})`,
  ready: (event) => `${event.name} is running`,
  hung: (event) =>
    `${event.name} (process ${event.pid}) has not responded for ${event.silentMs / 1000} s; killing and ` +
    'restarting it',
  exited: (event) =>
    `${event.name} has ` +
    `ended${event.expected ? '' : ` unexpectedly (${event.signal ?? (event.code === null ? 'it was adopted: how it ended is unknown' : `code ${event.code}`)})`}`,
  restarting: (event) => `${event.name} restarts in ${event.inMs} ms`,
  replaced: (event) => `${event.name} changed from ${event.fromRelease} to ${event.toRelease}`,
  refused: (event) => `${event.name} is not started: ${event.message} (${event.code})`,
  'release-fetched': (event) => `release ${event.release} was fetched and installed`,
  'release-removed': (event) => `release ${event.release} is no longer wanted in the domain and was removed`,
  'release-not-fetched': (event) =>
    `release ${event.release} cannot be fetched; will retry: ${event.message} (${event.code})`,
  'backup-begun': (event) => `the scheduled backup is being made (process ${event.pid})`,
  'backup-ended': (event) =>
    event.code === 0
      ? 'the scheduled backup is done'
      : `the scheduled backup has failed (${event.signal ?? `code ${event.code}`}); logs/backup.log says why`,
  'backup-not-begun': (event) =>
    `the scheduled backup could not be begun; will retry: ${event.message} (${event.code})`,
  'router-certified': (event) => `${event.name} has its certificate`,
  'router-not-certified': (event) => `${event.name} got no certificate; will ask again: ${event.message}`,
  'log-not-rotated': (event) => `the log of ${event.name} keeps growing because it cannot be rotated: ${event.message}`,
  stopped: () => 'everything has stopped',
};

/** The event in a sentence, for a terminal. */
export function eventText(event: SupervisorEvent): string {
  return (texts[event.type] as (of: SupervisorEvent) => string)(event);
}
