/**
 * The console's listening socket: bound when a process first asks for it, inherited where an adopted process has it, handed to
 * whoever answers there and asks, and kept while one ends and the next begins.
 *
 *   nobody asked ── a process asks, or is adopted with it ──▶ held ── nobody has it for half a minute ──▶ closed, as before
 *                └─ its port is taken: told once, tried again ─┘
 *
 * Invariant: devices never wait for it, nothing that goes wrong with it keeps a supervisor from its work, and no process has it
 * that does not answer there.
 */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { runFolder } from '../../process/adoption-messages.ts';
import type { ConsoleSettings } from '../../process/configuration.ts';
import { offerSockets, type SocketOffer } from '../../process/socket-offer.ts';
import type { AdoptedProcess } from './adopted-process.ts';
import type { OnEvent } from './events.ts';
import { bindListeningSocket, isBoundTo, type ListeningSocket } from './listening-socket.ts';
import { answersConsole } from './signpost-place.ts';
import { inheritSocket } from './socket-inheritance.ts';

interface ConsoleSocket {
  /** One that another supervisor started may have it, or ask for it. */
  adopt(process: AdoptedProcess): void;
  /** Sends it to the process once it is bound. */
  sendTo(child: ChildProcess): void;
  close(): void;
}

interface ConsoleSocketOptions {
  home: string;
  settings: ConsoleSettings;
  signal: AbortSignal;
  onEvent: OnEvent;
  /** How long connections may wait for a process that accepts them, default 30 s. */
  unusedMs?: number;
  /** How often a taken port is tried, default 2 s. */
  retryMs?: number;
}

export function createConsoleSocket(options: ConsoleSocketOptions): ConsoleSocket {
  const { home, settings, signal, onEvent, unusedMs = 30_000, retryMs = 2000 } = options;
  const holders = new Set<AdoptedProcess>();
  let users = 0;
  let held: ListeningSocket | undefined;
  let opening: Promise<ListeningSocket> | undefined;
  let inheriting = Promise.resolve();
  let closing: NodeJS.Timeout | undefined;
  let offer: Promise<SocketOffer> | undefined;
  // Any free one is chosen once.
  let { port } = settings;

  function hold(socket: ListeningSocket): ListeningSocket {
    if (signal.aborted) socket.close();
    signal.throwIfAborted();
    held = socket;
    port = socket.port;
    onEvent({ type: 'listening', socket: 'console', port });
    return socket;
  }

  async function inherit(process: AdoptedProcess): Promise<ListeningSocket | null> {
    if (held !== undefined) return held;
    const socket = await inheritSocket('console', process, home, signal);
    if (socket === null || isBoundTo(socket, settings.listen, port)) return socket && hold(socket);
    socket.close();
    return null;
  }

  async function open(): Promise<ListeningSocket> {
    await inheriting;
    for (let isTold = false; ; await delay(retryMs, undefined, { signal })) {
      for (const process of holders) await inherit(process);
      try {
        const once = { waitMs: 0, signal, onWaiting: () => undefined };
        return held ?? hold(await bindListeningSocket('console', settings.listen, port, once));
      } catch (error) {
        signal.throwIfAborted();
        const code = isBrambleError(error) ? error.code : 'ERR_LISTEN';
        if (!isTold) onEvent({ type: 'no-console', code, message: messageOf(error) });
        isTold = true;
      }
    }
  }

  function close(): void {
    clearTimeout(closing);
    held?.close();
    held = undefined;
    opening = undefined;
    void offer?.then(async (made) => await made.close()).catch(() => undefined);
    offer = undefined;
  }

  function closeUnused(): void {
    if (held === undefined) return;
    close();
    onEvent({ type: 'closed', socket: 'console', port });
  }

  function use(exited: Promise<unknown>): void {
    users += 1;
    clearTimeout(closing);
    void exited.then(() => {
      users -= 1;
      if (users === 0) closing = setTimeout(closeUnused, unusedMs).unref();
    });
  }

  /** To one that was adopted, which has no channel that a handle could be sent over. */
  async function offerTo(process: AdoptedProcess): Promise<void> {
    use(process.exited);
    opening ??= open();
    await opening;
    const descriptors = () => new Map(held === undefined ? [] : [['console', held.descriptor]]);
    offer ??= offerSockets(runFolder(home), descriptors);
    const made = await offer.catch(() => undefined);
    if (made === undefined) offer = undefined;
    // Where that failed it finds nothing there, and asks again.
    process.offer(made?.folder ?? '');
  }

  return {
    adopt: (process) => {
      if (!answersConsole(process.spec.kind)) return;
      process.onWant(() => void offerTo(process).catch(() => undefined));
      holders.add(process);
      void process.exited.then(() => holders.delete(process));
      // At once: who has it may end before anybody asks.
      inheriting = inheriting
        .then(async () => {
          if ((await inherit(process)) !== null) use(process.exited);
        })
        .catch(() => undefined);
    },
    sendTo: (child) => {
      use(new Promise((resolve) => child.once('exit', resolve)));
      opening ??= open();
      void opening.then((socket) => socket.sendTo(child)).catch(() => undefined);
    },
    close,
  };
}
