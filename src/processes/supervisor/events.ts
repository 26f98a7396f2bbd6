/** The events of a supervisor: their shapes, and their texts for a terminal. */
import { assertNever } from '../../base/assert-never.ts';

export type SupervisorEvent =
  | { type: 'listening'; socket: 'public' | 'srp'; port: number }
  | { type: 'closed'; socket: 'public' | 'srp'; port: number }
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

/** The event in a sentence, for a terminal. */
export function eventText(event: SupervisorEvent): string {
  switch (event.type) {
    case 'listening':
      return `${event.socket} port ${event.port} is open`;
    case 'closed':
      return `${event.socket} port ${event.port} is closed: no router is to run here`;
    case 'waiting-for-port':
      return `${event.socket} port ${event.port} is still in use; waiting for it`;
    case 'waiting-for-disk':
      return `processes wait a few seconds for a supervisor, and this one is waiting for disk space: ${event.message}`;
    case 'taking-over':
      return `taking over from the supervisor of ${event.release ?? '1.1 or earlier'} (process ${event.pid})`;
    case 'adopted':
      return `${event.name} ${event.release} keeps running and is adopted (process ${event.pid})`;
    case 'not-adopted':
      return `${event.name} (process ${event.pid}) had no supervisor and did not report; it is killed and restarted`;
    case 'not-inherited':
      return (
        `the running routers do not pass on the ${event.sockets.join(' and ')} port as configured: they are ` +
        'stopped, and it is opened again; devices wait in the meantime'
      );
    case 'handing-over':
      return `a supervisor of ${event.release} is taking over; the processes keep running`;
    case 'handed-over':
      return 'everything was handed over';
    case 'database-ready':
      return event.adopted ? 'PostgreSQL is running' : 'PostgreSQL was started';
    case 'database-replacing':
      return (
        `PostgreSQL was started from other binaries: it is restarted from ${event.version}; requests wait in the ` +
        'meantime'
      );
    case 'database-lost':
      return `the database does not answer; will retry: ${event.message} (${event.code})`;
    case 'not-reported':
      return (
        `this supervisor cannot report itself to the domain, but keeps working: ${event.message} (${event.code}); ` +
        'finalizing an upgrade waits until it is. `bramble database roles --check` names missing rights'
      );
    case 'started':
      return `${event.name} ${event.release} is starting (process ${event.pid})`;
    case 'ready':
      return `${event.name} is running`;
    case 'hung':
      return (
        `${event.name} (process ${event.pid}) has not responded for ${event.silentMs / 1000} s; killing and ` +
        'restarting it'
      );
    case 'exited':
      return (
        `${event.name} has ` +
        `ended${event.expected ? '' : ` unexpectedly (${event.signal ?? (event.code === null ? 'it was adopted: how it ended is unknown' : `code ${event.code}`)})`}`
      );
    case 'restarting':
      return `${event.name} restarts in ${event.inMs} ms`;
    case 'replaced':
      return `${event.name} changed from ${event.fromRelease} to ${event.toRelease}`;
    case 'refused':
      return `${event.name} is not started: ${event.message} (${event.code})`;
    case 'release-fetched':
      return `release ${event.release} was fetched and installed`;
    case 'release-removed':
      return `release ${event.release} is no longer wanted in the domain and was removed`;
    case 'release-not-fetched':
      return `release ${event.release} cannot be fetched; will retry: ${event.message} (${event.code})`;
    case 'backup-begun':
      return `the scheduled backup is being made (process ${event.pid})`;
    case 'backup-ended':
      return event.code === 0
        ? 'the scheduled backup is done'
        : `the scheduled backup has failed (${event.signal ?? `code ${event.code}`}); logs/backup.log says why`;
    case 'backup-not-begun':
      return `the scheduled backup could not be begun; will retry: ${event.message} (${event.code})`;
    case 'router-certified':
      return `${event.name} has its certificate`;
    case 'router-not-certified':
      return `${event.name} got no certificate; will ask again: ${event.message}`;
    case 'log-not-rotated':
      return `the log of ${event.name} keeps growing because it cannot be rotated: ${event.message}`;
    case 'stopped':
      return 'everything has stopped';
    default:
      return assertNever(event);
  }
}
