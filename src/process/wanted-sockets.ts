/**
 * Listening sockets that a process gets when it asks, and gives back by closing them: each time it is to accept, it asks anew.
 *
 *   its supervisor hands it on request      it is asked, and answers as soon as it has it
 *   it is of 1.4, and knows no question     the address is bound here, and the next supervisor inherits it
 *   there is none at the moment             the next one is asked, once it has adopted this process
 *   the process was told not to ask         there is none
 *
 * Invariant: a socket that came too late is closed, so that no connection waits in it for nobody.
 */
import type { Server } from 'node:net';
import * as z from 'zod';
import type { ProcessEnvironment } from './environment.ts';
import type { SocketGiver, WantedName } from './own-process.ts';
import { aborted } from './supervision.ts';

export interface WantedSockets {
  /** For `server.listen`; null if this process is to have none. Rejects when the signal is aborted. */
  take(name: WantedName, address: { host: string; port: number }, signal: AbortSignal): Promise<object | null>;
  /** It listens on it: the next supervisor gets it. */
  hold(name: WantedName, server: Server): void;
  descriptors(): ReadonlyMap<WantedName, number>;
  /** Another supervisor has adopted this process, and is asked from now on. */
  adoptedBy(adopter: SocketGiver): void;
  release(): void;
}

const socketMessage = z.object({ type: z.literal('socket'), name: z.literal('console') });

interface Handle {
  readonly fd: number;
  close(): void;
}

export function wantedSockets({ handedSockets }: Pick<ProcessEnvironment<unknown>, 'handedSockets'>): WantedSockets {
  const starter = createStarter(handedSockets);
  const servers = new Map<WantedName, Server>();
  let adopter: SocketGiver | undefined;
  let adopted = Promise.withResolvers<void>();

  async function present(signal: AbortSignal): Promise<SocketGiver> {
    for (;;) {
      signal.throwIfAborted();
      if (!starter.gone.aborted) return starter;
      if (adopter?.gone.aborted === false) return adopter;
      await Promise.race([adopted.promise, aborted(signal)]);
    }
  }

  return {
    take: async (name, address, signal) => {
      for (;;) {
        const giver = await present(signal);
        if (giver.hands === undefined) return address;
        if (!giver.hands.includes(name)) return null;
        try {
          return await giver.give(name, AbortSignal.any([signal, giver.gone]));
        } catch (error) {
          if (signal.aborted || !giver.gone.aborted) throw error;
        }
      }
    },
    hold: (name, server) => void servers.set(name, server),
    descriptors: () => new Map([...servers].flatMap(([name, server]) => descriptorOf(name, server))),
    adoptedBy: (by) => {
      adopter = by;
      adopted.resolve();
      adopted = Promise.withResolvers();
    },
    release: starter.release,
  };
}

/** Who started this process. One that was started by hand has nobody who could go. */
function createStarter(hands: readonly string[] | undefined): SocketGiver & { release(): void } {
  const waiting: PromiseWithResolvers<Handle>[] = [];
  const leaving = new AbortController();
  const onDisconnect = (): void => leaving.abort(new Error('the supervisor is gone'));
  if (process.send !== undefined && !process.connected) onDisconnect();
  else process.once('disconnect', onDisconnect);
  const onMessage = (message: unknown, handle: unknown): void => {
    if (!socketMessage.safeParse(message).success || !isHandle(handle)) return;
    const next = waiting.shift();
    if (next === undefined) handle.close();
    else next.resolve(handle);
  };
  let listens = false;
  return {
    hands,
    gone: leaving.signal,
    give: async (name, signal) => {
      signal.throwIfAborted();
      if (!listens) process.on('message', onMessage);
      listens = true;
      const came = Promise.withResolvers<Handle>();
      waiting.push(came);
      const onAbort = (): void => {
        if (waiting.includes(came)) waiting.splice(waiting.indexOf(came), 1);
        came.reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      process.send?.({ type: 'want-socket', name }, undefined, undefined, () => undefined);
      try {
        return await came.promise;
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },
    release: () => void process.off('message', onMessage).off('disconnect', onDisconnect),
  };
}

function isHandle(value: unknown): value is Handle {
  return typeof value === 'object' && value !== null && 'close' in value;
}

function descriptorOf<Name>(name: Name, server: Server): [Name, number][] {
  const { _handle: handle } = server as unknown as { _handle?: Handle | null };
  return server.listening && handle ? [[name, handle.fd]] : [];
}
