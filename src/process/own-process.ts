/** What a process is, and what it reports about itself to a supervisor that did not start it. */
import { birthOf } from '../base/process-facts.ts';
import { databaseWithoutCredential, type Orphan } from './adoption-messages.ts';
import type { Logger } from './log/logger.ts';

/** Of a listening socket that a supervisor holds and a process accepts on. */
export type SocketName = 'public' | 'srp' | 'console';

/** Of a socket that is handed over only when it is asked for. */
export type WantedName = 'console';

/** A supervisor that is asked for them: the one that started this process, over IPC, or one that has adopted it. */
export interface SocketGiver {
  /** What it hands over; undefined if it knows no such question. */
  readonly hands: readonly string[] | undefined;
  /** Aborted when it is gone. */
  readonly gone: AbortSignal;
  /** For `server.listen`. Rejects when it fails, or the signal is aborted. */
  give(name: WantedName, signal: AbortSignal): Promise<object>;
}

export interface OwnProcess {
  home: string;
  name: string;
  kind: string;
  release: string;
  /** BRAMBLE_SETTINGS without the defaults. */
  givenSettings: unknown;
  databaseUrl: string | undefined;
  log?: Logger;
  /** Descriptors of listening sockets that the next supervisor gets. */
  sockets?: () => ReadonlyMap<SocketName, number>;
  /** A supervisor has adopted it that can be asked for sockets. */
  onAdopted?: (adopter: SocketGiver) => void;
}

/** How far it has come. */
export interface Progress {
  ready: boolean;
  /** It keeps running beside a successor of its name. */
  yields: boolean;
  /** Devices reach it. */
  serving: boolean;
}

export async function introduction(
  own: OwnProcess,
  progress: Readonly<Progress>,
  startedAtMs: number,
): Promise<Orphan> {
  return {
    type: 'orphan',
    pid: process.pid,
    birth: (await birthOf(process.pid)) ?? '',
    name: own.name,
    kind: own.kind,
    release: own.release,
    settings: own.givenSettings,
    database: own.databaseUrl === undefined ? null : databaseWithoutCredential(own.databaseUrl),
    ...progress,
    startedAtMs,
  };
}
