/**
 * How a supervisor gets its listening sockets.
 *
 *   an adopted router                                         the socket
 *   hands it on                                            →  is the router's and ours
 *   hands none on for a while, or another address's        →  is bound once all adopted routers have been stopped
 *   there is none                                          →  is bound once nobody listens there
 *
 * Invariant: any router that is kept listens on the same sockets that the supervisor holds and passes to the router's
 * successors.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Configuration } from '../../process/configuration.ts';
import type { AdoptedProcess } from './adopted-process.ts';
import type { OnEvent } from './events.ts';
import { bindListeningSocket, isBoundTo, type ListeningSocket } from './listening-socket.ts';
import { inheritSocket } from './socket-inheritance.ts';

interface OpenSocketsOptions {
  home: string;
  configuration: Configuration;
  /** Those that were adopted. */
  routers: readonly AdoptedProcess[];
  /** Begins to stop all of them. */
  stopRouters: () => void;
  /** How long routers that do not pass on their sockets are asked again; they serve meanwhile. */
  inheritMs: number;
  /** How long to wait for a port that is still in use. */
  portWaitMs: number;
  signal: AbortSignal;
  onEvent: OnEvent;
}

const askAgainMs = 250;
const names = ['srp', 'public'] as const;

/**
 * @param opened receives each socket as soon as it is available; the caller closes them, also after a failure
 * @throws BrambleError ERR_ADDRESS_IN_USE, ERR_LISTEN; the signal's reason
 */
export async function openSockets(opened: ListeningSocket[], options: OpenSocketsOptions): Promise<void> {
  const { configuration, routers, onEvent } = options;
  const add = (socket: ListeningSocket): void => {
    opened.push(socket);
    onEvent({ type: 'listening', socket: socket.name, port: socket.port });
  };
  const deadline = performance.now() + options.inheritMs;
  for (const name of names) {
    const socket = await inherited(name, deadline, options);
    if (socket !== null) add(socket);
  }
  const missing = names.filter((name) => !opened.some((socket) => socket.name === name));
  if (missing.length > 0 && routers.some((router) => !router.hasExited())) {
    onEvent({ type: 'not-inherited', sockets: missing });
    options.stopRouters();
  }
  for (const name of missing) {
    const port = portOf(name, configuration);
    const waiting = { waitMs: options.portWaitMs, signal: options.signal };
    const onWaiting = () => onEvent({ type: 'waiting-for-port', socket: name, port });
    add(await bindListeningSocket(name, configuration.listenAddress, port, { ...waiting, onWaiting }));
  }
}

/** null when no router has the socket of the configured address, or passes it on in time. */
async function inherited(
  name: (typeof names)[number],
  deadline: number,
  { home, configuration, routers, signal }: OpenSocketsOptions,
): Promise<ListeningSocket | null> {
  for (;;) {
    signal.throwIfAborted();
    const living = routers.filter((router) => !router.hasExited());
    let others = 0;
    for (const router of living) {
      const socket = await inheritSocket(name, router, home, signal);
      if (socket === null) continue;
      if (isBoundTo(socket, configuration.listenAddress, portOf(name, configuration))) return socket;
      socket.close();
      others += 1;
    }
    if (others === living.length || performance.now() >= deadline) return null;
    await delay(askAgainMs, undefined, { signal });
  }
}

function portOf(name: (typeof names)[number], { publicPort, srpPort }: Configuration): number {
  return name === 'public' ? publicPort : srpPort;
}
