/** What a process is, and what it reports about itself to a supervisor that did not start it. */
import { birthOf } from '../base/process-facts.ts';
import { databaseWithoutCredential, type Orphan } from './adoption-messages.ts';
import type { Logger } from './log/logger.ts';

/** Of a listening socket that a supervisor holds and a process accepts on. */
export type SocketName = 'public' | 'srp' | 'console';

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
