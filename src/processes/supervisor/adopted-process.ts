/**
 * A process that another supervisor started and that reported itself here. Its end shows when the system closes its
 * connection, and is then checked on the process itself: no id is signalled or trusted without its birth.
 */
import type { Socket } from 'node:net';
import { closed, type Orphan, sendLine, socketsShape, wantShape } from '../../process/adoption-messages.ts';
import { KnownProcess } from './known-process.ts';
import { watchSigns } from './process-signs.ts';
import { answersConsole } from './signpost-place.ts';
import type { SupervisedProcess } from './supervised-process.ts';

export interface AdoptedProcess extends SupervisedProcess {
  /** What it reported about itself. */
  readonly orphan: Orphan;
  /** Its current connection. */
  readonly connection: Socket;
  /** It lost its connection and has reported itself again. */
  attach(connection: Socket): void;
  /** Handles messages from its connection. */
  take(message: unknown): void;
  /** Where a router now offers its listening sockets; null if it has not said so by the time the signal is aborted. */
  offeredSockets(signal: AbortSignal): Promise<SocketFolder | null>;
  /** Calls back each time that it asks for the console's socket, also if it has asked before. */
  onWant(take: () => void): void;
  /** Says where the console's socket is offered to it. */
  offer(folder: string): void;
}

interface SocketFolder {
  folder: string;
  names: readonly string[];
}

export function adoptProcess(orphan: Orphan, first: Socket, hungAfterMs: number): AdoptedProcess {
  const { pid, birth, name, kind, release, settings } = orphan;
  const known = new KnownProcess(pid, birth);
  const signs = watchSigns(hungAfterMs, known.exited);
  const state = { connection: first, onOffer: (_: SocketFolder): void => undefined };
  const wanting: { isUnheard: boolean; onWant: () => void } = {
    isUnheard: false,
    onWant: () => {
      wanting.isUnheard = true;
    },
  };
  if (orphan.ready) signs.take({ type: 'ready', yields: orphan.yields });
  if (orphan.serving) signs.take({ type: 'serving' });

  function attach(connection: Socket): void {
    state.connection = connection;
    // Every adoptable process sends heartbeats; this one may hang before its next.
    signs.take({ type: 'alive' });
    void closed(connection).then(async () => await known.lookForEnd(() => state.connection === connection));
    sendLine(connection, { type: 'adopted', sockets: answersConsole(kind) ? ['console'] : [] });
  }

  attach(first);
  return {
    orphan,
    spec: {
      ...{ name, kind, release, settings },
      databaseUrl: orphan.database === null ? null : `postgres://${orphan.database}`,
      credentialUnknown: true,
    },
    pid,
    startedAtMs: orphan.startedAtMs,
    ...signs,
    exited: known.exited,
    get connection() {
      return state.connection;
    },
    attach,
    take: (message) => {
      signs.take(message);
      const sockets = socketsShape.safeParse(message);
      if (sockets.success) state.onOffer(sockets.data);
      if (wantShape.safeParse(message).success) wanting.onWant();
    },
    onWant: (take) => {
      wanting.onWant = take;
      if (wanting.isUnheard) take();
      wanting.isUnheard = false;
    },
    offer: (folder) => sendLine(state.connection, { type: 'socket', name: 'console', folder }),
    hasExited: () => known.hasExited,
    kill: () => void known.signal('SIGKILL'),
    stop: async (graceMs) => await known.stop(graceMs),
    letGo: () => {
      known.leave();
      signs.release();
      state.connection.destroy();
    },
    offeredSockets: async (signal) => {
      if (signal.aborted) return null;
      const offered = new Promise<SocketFolder | null>((resolve) => {
        state.onOffer = resolve;
        signal.addEventListener('abort', () => resolve(null), { once: true });
      });
      sendLine(state.connection, { type: 'hand-sockets' });
      return await Promise.race([offered, known.exited.then(() => null)]);
    },
  };
}
