/**
 * A process that another supervisor started and that reported itself here. Its end shows when the system closes its
 * connection, and is then checked on the process itself: no id is signalled or trusted without its birth.
 */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { birthOf, signalProcess } from '../../base/process-facts.ts';
import { closed, type Orphan, sendLine, socketsShape } from '../../process/adoption-messages.ts';
import { watchSigns } from './process-signs.ts';
import type { ProcessExit, SupervisedProcess } from './supervised-process.ts';

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
}

interface SocketFolder {
  folder: string;
  names: readonly string[];
}

const goneCheckMs = 50;
const signalRetryMs = 1000;

export function adoptProcess(orphan: Orphan, first: Socket, hungAfterMs: number): AdoptedProcess {
  const { pid, birth, name, kind, release, settings } = orphan;
  const exit = Promise.withResolvers<ProcessExit>();
  const signs = watchSigns(hungAfterMs, exit.promise);
  const state = { connection: first, exited: false, left: false, onOffer: (_: SocketFolder): void => undefined };
  if (orphan.ready) signs.take({ type: 'ready', yields: orphan.yields });
  if (orphan.serving) signs.take({ type: 'serving' });

  function attach(connection: Socket): void {
    state.connection = connection;
    // Every adoptable process sends heartbeats; this one may hang before its next.
    signs.take({ type: 'alive' });
    void closed(connection).then(async () => await whenGone(connection));
    sendLine(connection, { type: 'adopted' });
  }

  /** Until the process is gone, or has another connection. */
  async function whenGone(connection: Socket): Promise<void> {
    while (state.connection === connection && !state.left) {
      // If the system cannot tell at the moment, the process has not ended.
      if ((await birthOf(pid).catch(() => birth)) !== birth) {
        state.exited = true;
        exit.resolve({ code: null, signal: null });
        return;
      }
      await delay(goneCheckMs, undefined, { ref: false });
    }
  }

  /** Retries until it succeeds: the caller that stops a process waits for its end. */
  async function signal(kind: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    while (!state.exited && !state.left) {
      try {
        return await signalProcess(pid, birth, kind);
      } catch {
        await delay(signalRetryMs, undefined, { ref: false });
      }
    }
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
    exited: exit.promise,
    get connection() {
      return state.connection;
    },
    attach,
    take: (message) => {
      signs.take(message);
      const sockets = socketsShape.safeParse(message);
      if (sockets.success) state.onOffer(sockets.data);
    },
    hasExited: () => state.exited,
    kill: () => void signal('SIGKILL'),
    stop: async (graceMs) => {
      await signal('SIGTERM');
      const timer = setTimeout(() => void signal('SIGKILL'), graceMs);
      const ended = await exit.promise;
      clearTimeout(timer);
      return ended;
    },
    letGo: () => {
      state.left = true;
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
      return await Promise.race([offered, exit.promise.then(() => null)]);
    },
  };
}
