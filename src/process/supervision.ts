/**
 * A process and its supervisor: it says that it works, that its event loop turns, and hears when it is to end. That is by
 * SIGTERM, SIGINT or from within.
 *
 * The supervisor is first the one that started it, over IPC. When that is gone without a word (killed, or it lets another
 * take over), the process works on for a bounded time and reports itself at the Unix socket of the home: the supervisor that
 * listens there adopts it. Nobody there: it drains, so that no process outlives its supervisor for long.
 *
 * Invariant: a process that was asked to end looks for nobody.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import { birthOf } from '../base/process-facts.ts';
import { socketPath } from '../base/socket-path.ts';
import {
  adoptableFolder,
  closed,
  databaseWithoutCredential,
  type Orphan,
  onLines,
  runFolder,
  sendLine,
  supervisorSocket,
  typeOf,
} from './adoption-messages.ts';
import type { Logger } from './log/logger.ts';
import { offerSockets, type SocketOffer } from './socket-offer.ts';

export interface OwnProcess {
  home: string;
  name: string;
  kind: string;
  release: string;
  /** BRAMBLE_SETTINGS without the defaults. */
  givenSettings: unknown;
  databaseUrl: string | undefined;
  log?: Logger;
  /** Descriptors of listening sockets that a next supervisor is to have. */
  sockets?: () => ReadonlyMap<'public' | 'srp', number>;
}

export interface Supervision {
  /** Aborted when the process is to drain and end; its reason is a string, or the error that forces the end. */
  readonly signal: AbortSignal;
  /** Asks for the end from within. */
  request(reason: unknown): void;
  /**
   * Says that the process does its work now. With `yields` it says too that it goes on beside a successor of its name until it is
   * stopped, and that it tells later when devices reach it.
   */
  announceReady(facts?: Readonly<Record<string, unknown>> & { yields?: boolean }): void;
  /** Says that devices reach this process: the one that it replaces may end. */
  announceServing(): void;
  /** Tells what only the supervisor that started it hears. */
  tellStarter(message: Readonly<Record<string, unknown>>): void;
  /** Takes the listeners away again. */
  release(): Promise<void>;
}

/**
 * How long a process works on without a supervisor: less than the 30 s that a supervisor of 1.1, which adopts nobody, waits for
 * the ports.
 */
const orphanMs = 20_000;
const retryMs = 200;
const beatMs = 2000;
const notMarked =
  'cannot record that this process can be adopted: the next supervisor will not wait for it, and it cannot be ' +
  'replaced without an interruption';

/** @param patienceMs how long it works on without a supervisor */
export function openSupervision(own: OwnProcess, patienceMs = orphanMs): Supervision {
  const startedAtMs = Date.now() - Math.round(process.uptime() * 1000);
  const controller = new AbortController();
  const { signal } = controller;
  const request = (reason: unknown): void => controller.abort(reason);
  const said = { ready: false, yields: false, serving: false };
  const state: { adopter: net.Socket | undefined; offer: Promise<SocketOffer> | undefined } = {
    adopter: undefined,
    offer: undefined,
  };

  async function introduce(): Promise<Orphan> {
    return {
      type: 'orphan',
      pid: process.pid,
      birth: (await birthOf(process.pid)) ?? '',
      name: own.name,
      kind: own.kind,
      release: own.release,
      settings: own.givenSettings,
      database: own.databaseUrl === undefined ? null : databaseWithoutCredential(own.databaseUrl),
      ...said,
      startedAtMs,
    };
  }

  /** Resolves with the connection once a supervisor has adopted us over it. */
  async function findAdopter(): Promise<net.Socket | undefined> {
    const introduction = await introduce();
    const at = await socketPath(runFolder(own.home), supervisorSocket);
    const socket = net.connect(at.path);
    try {
      const adopted = new Promise<boolean>((resolve) => {
        void closed(socket).then(() => resolve(false));
        onLines(socket, (message) => {
          if (typeOf(message) === 'adopted') resolve(true);
          if (typeOf(message) === 'hand-sockets') void handSockets(socket);
        });
      });
      sendLine(socket, introduction);
      if (await Promise.race([adopted, delay(patienceMs, false, { ref: false })])) return socket;
    } finally {
      await at.close();
    }
    socket.destroy();
    return undefined;
  }

  // One that drains has closed them, and their numbers may be something else by now.
  const listeningSockets = () =>
    signal.aborted ? new Map<never, never>() : (own.sockets?.() ?? new Map<never, never>());

  async function handSockets(socket: net.Socket): Promise<void> {
    // Made anew whenever it is asked for: what failed, or was asked for too early, is not so for good.
    const former = state.offer;
    state.offer = closeOffer(former).then(async () => await offerSockets(runFolder(own.home), listeningSockets));
    const offer = await state.offer.catch(() => undefined);
    sendLine(socket, { type: 'sockets', folder: offer?.folder ?? '', names: offer?.names ?? [] });
  }

  /** Until adopted, asked to end, or out of patience. */
  async function lookForSupervisor(): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (!signal.aborted && performance.now() < deadline) {
      const socket = await findAdopter().catch(() => undefined);
      if (socket !== undefined) {
        socket.unref();
        state.adopter = socket;
        // It may have come so far while it was introduced.
        if (said.ready) sendLine(socket, { type: 'ready', yields: said.yields });
        if (said.serving) sendLine(socket, { type: 'serving' });
        await closed(socket);
        state.adopter = undefined;
        if (!signal.aborted) void lookForSupervisor();
        return;
      }
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
    request('the supervisor is gone');
  }

  const onTerminate = (): void => request('SIGTERM');
  const onInterrupt = (): void => request('SIGINT');
  const onDisconnect = (): void => void lookForSupervisor();
  process.on('SIGTERM', onTerminate).on('SIGINT', onInterrupt).on('disconnect', onDisconnect);
  const supervised = process.send !== undefined;
  // It may be gone before we listened.
  if (supervised && !process.connected) onDisconnect();

  // A full disk passes: it is tried again with each heartbeat.
  const marked: { file: string | undefined; trying: Promise<void> | undefined; reported: boolean } = {
    file: undefined,
    trying: undefined,
    reported: false,
  };
  const mark = async (): Promise<void> => {
    try {
      marked.file = await markAdoptable(own);
    } catch (error) {
      if (!marked.reported) own.log?.warn({ error: messageOf(error) }, notMarked);
      marked.reported = true;
    }
    marked.trying = undefined;
  };

  // From the event loop that does the work: a thread of its own would beat on while the work hangs.
  let underWay = false;
  const beat = (): void => {
    if (supervised && marked.file === undefined) marked.trying ??= mark();
    if (state.adopter !== undefined) sendLine(state.adopter, { type: 'alive' });
    // A supervisor that is stopped reads nothing: what it has not taken is not sent again.
    if (!process.connected || underWay) return;
    underWay = true;
    sendStarter({ type: 'alive' }, () => {
      underWay = false;
    });
  };
  beat();
  const beating = setInterval(beat, beatMs).unref();

  const tell = (message: Readonly<Record<string, unknown>>): void => {
    if (process.connected) sendStarter(message);
    if (state.adopter !== undefined) sendLine(state.adopter, message);
  };

  return {
    signal,
    request,
    announceReady: (facts = {}) => {
      said.ready = true;
      said.yields = facts.yields === true;
      tell({ type: 'ready', ...facts });
    },
    announceServing: () => {
      said.serving = true;
      tell({ type: 'serving' });
    },
    tellStarter: (message) => {
      if (process.connected) sendStarter(message);
    },
    release: async () => {
      clearInterval(beating);
      process.off('SIGTERM', onTerminate).off('SIGINT', onInterrupt).off('disconnect', onDisconnect);
      await closeOffer(state.offer);
      await marked.trying;
      if (marked.file !== undefined) await rm(marked.file, { force: true }).catch(() => undefined);
    },
  };
}

/** What does not arrive any more is told by the end of the channel; without a callback it would end this process. */
function sendStarter(message: Readonly<Record<string, unknown>>, done: () => void = () => undefined): void {
  process.send?.(message, undefined, undefined, done);
}

async function closeOffer(offer: Promise<SocketOffer> | undefined): Promise<void> {
  const made = await offer?.catch(() => undefined);
  await made?.close();
}

/** The file by which a supervisor sees that the process can be adopted: of 1.1 there is none. */
async function markAdoptable({ home, name }: OwnProcess): Promise<string> {
  const folder = adoptableFolder(home);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `${process.pid}.json`);
  const birth = await birthOf(process.pid);
  try {
    await writeFile(file, JSON.stringify({ pid: process.pid, birth, name }), { mode: 0o600 });
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
  return file;
}

/** Resolves when the signal is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
