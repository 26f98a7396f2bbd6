/**
 * Listening sockets that a process gets when it asks, and gives back by closing them: each time it is to accept, it asks anew.
 *
 *   the supervisor hands it on request      it is asked, and answers as soon as it has it
 *   it is of 1.4, and knows no question     the address is bound here, and the next supervisor inherits it
 *   the process was told not to ask         there is none
 *
 * Invariant: a socket that came too late is closed, so that no connection waits in it for nobody.
 */
import type { Server } from 'node:net';
import * as z from 'zod';
import type { ProcessEnvironment } from './environment.ts';

type WantedName = 'console';

export interface WantedSockets {
  /** For `server.listen`; null if this process is to have none. Rejects when the signal is aborted. */
  take(name: WantedName, address: { host: string; port: number }, signal: AbortSignal): Promise<object | null>;
  /** It listens on it: the next supervisor gets it. */
  hold(name: WantedName, server: Server): void;
  descriptors(): ReadonlyMap<WantedName, number>;
  release(): void;
}

const socketMessage = z.object({ type: z.literal('socket'), name: z.literal('console') });

interface Handle {
  readonly fd: number;
  close(): void;
}

export function wantedSockets({ handedSockets }: Pick<ProcessEnvironment<unknown>, 'handedSockets'>): WantedSockets {
  const waiting: PromiseWithResolvers<Handle>[] = [];
  const servers = new Map<WantedName, Server>();
  const onMessage = (message: unknown, handle: unknown): void => {
    if (!socketMessage.safeParse(message).success || !isHandle(handle)) return;
    const next = waiting.shift();
    if (next === undefined) handle.close();
    else next.resolve(handle);
  };
  let listens = false;

  async function ask(name: WantedName, signal: AbortSignal): Promise<Handle> {
    signal.throwIfAborted();
    if (!process.connected) throw new Error('no supervisor is there to hand the socket over');
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
  }

  return {
    take: async (name, address, signal) => {
      if (handedSockets === undefined) return address;
      return handedSockets.includes(name) ? await ask(name, signal) : null;
    },
    hold: (name, server) => void servers.set(name, server),
    descriptors: () => new Map([...servers].flatMap(([name, server]) => descriptorOf(name, server))),
    release: () => void process.off('message', onMessage),
  };
}

function isHandle(value: unknown): value is Handle {
  return typeof value === 'object' && value !== null && 'close' in value;
}

function descriptorOf<Name>(name: Name, server: Server): [Name, number][] {
  const { _handle: handle } = server as unknown as { _handle?: Handle | null };
  return server.listening && handle ? [[name, handle.fd]] : [];
}
