/**
 * How a process without a supervisor finds the next one: it reports itself at the Unix socket of the home until the
 * supervisor that listens there adopts it, and starts over when that one goes.
 *
 * Invariant: a process that was asked to end looks for nobody, and offers no sockets: it has closed them.
 */
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { socketPath } from '../base/socket-path.ts';
import { adopterSockets } from './adopter-sockets.ts';
import { adoptedShape, closed, onLines, runFolder, sendLine, supervisorSocket, typeOf } from './adoption-messages.ts';
import { introduction, type OwnProcess, type Progress } from './own-process.ts';
import { offerSockets, type SocketOffer } from './socket-offer.ts';

const retryMs = 200;

interface AdopterSearch {
  /** Until adopted, asked to end, or out of patience. */
  look(): Promise<void>;
  /** Tells the supervisor that adopted this process, if there is one. */
  tell(message: Readonly<Record<string, unknown>>): void;
  /** Withdraws the sockets that are offered. */
  close(): Promise<void>;
}

export function createAdopterSearch(options: {
  own: OwnProcess;
  progress: Readonly<Progress>;
  patienceMs: number;
  /** Aborted when the process is to end. */
  signal: AbortSignal;
  /** Nobody adopted it in time. */
  onGone: () => void;
}): AdopterSearch {
  const { own, progress, patienceMs, signal } = options;
  const startedAtMs = Date.now() - Math.round(process.uptime() * 1000);
  let adopter: net.Socket | undefined;
  let offer: Promise<SocketOffer> | undefined;

  /** Resolves with the connection once a supervisor has adopted us over it. */
  async function findAdopter(): Promise<net.Socket | undefined> {
    const introduced = await introduction(own, progress, startedAtMs);
    const at = await socketPath(runFolder(own.home), supervisorSocket);
    const socket = net.connect(at.path);
    try {
      const adopted = new Promise<boolean>((resolve) => {
        void closed(socket).then(() => resolve(false));
        let sockets: ReturnType<typeof adopterSockets> | undefined;
        onLines(socket, (message) => {
          const adoption = adoptedShape.safeParse(message);
          if (adoption.success) {
            sockets = adopterSockets(socket, own.home, adoption.data.sockets);
            own.onAdopted?.(sockets);
            resolve(true);
          }
          if (typeOf(message) === 'hand-sockets') void handSockets(socket);
          sockets?.take(message);
        });
      });
      sendLine(socket, introduced);
      if (await Promise.race([adopted, delay(patienceMs, false, { ref: false })])) return socket;
    } finally {
      await at.close();
    }
    socket.destroy();
    return undefined;
  }

  // One that drains has closed them, and their numbers may mean something else by now.
  const listeningSockets = () =>
    signal.aborted ? new Map<never, never>() : (own.sockets?.() ?? new Map<never, never>());

  async function handSockets(socket: net.Socket): Promise<void> {
    // Made anew each time: what failed, or was asked for too early, may succeed later.
    const former = offer;
    offer = closeOffer(former).then(async () => await offerSockets(runFolder(own.home), listeningSockets));
    const made = await offer.catch(() => undefined);
    sendLine(socket, { type: 'sockets', folder: made?.folder ?? '', names: made?.names ?? [] });
  }

  async function look(): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (!signal.aborted && performance.now() < deadline) {
      const socket = await findAdopter().catch(() => undefined);
      if (socket !== undefined) {
        await follow(socket);
        return;
      }
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
    options.onGone();
  }

  async function follow(socket: net.Socket): Promise<void> {
    socket.unref();
    adopter = socket;
    // It may have come this far while it was introducing itself.
    if (progress.ready) sendLine(socket, { type: 'ready', yields: progress.yields });
    if (progress.serving) sendLine(socket, { type: 'serving' });
    await closed(socket);
    adopter = undefined;
    if (!signal.aborted) void look();
  }

  return {
    look,
    tell: (message) => {
      if (adopter !== undefined) sendLine(adopter, message);
    },
    close: async () => await closeOffer(offer),
  };
}

async function closeOffer(offer: Promise<SocketOffer> | undefined): Promise<void> {
  const made = await offer?.catch(() => undefined);
  await made?.close();
}
