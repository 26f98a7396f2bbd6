/**
 * A process and its supervisor: it reports that it works and that its event loop turns, and learns when it is to end, by
 * SIGTERM, SIGINT or from within.
 *
 * The supervisor is at first the one that started it, over IPC. When that disappears without a word (killed, or it lets
 * another take over), the process keeps working for a bounded time and looks for the next one (`adopter-search.ts`). If
 * nobody adopts it, it drains, so that no process outlives its supervisor for long.
 *
 * Invariant: heartbeats come from the event loop that does the work, and a supervisor that reads none lets none pile up.
 */

import { AdoptableMark } from './adoptable-mark.ts';
import { createAdopterSearch } from './adopter-search.ts';
import type { OwnProcess, Progress } from './own-process.ts';

export interface Supervision {
  /** Aborted when the process is to drain and end; its reason is a string, or the error that forces the end. */
  readonly signal: AbortSignal;
  /** Asks for the end from within. */
  request(reason: unknown): void;
  /**
   * Says that the process does its work now. With `yields` it also keeps running beside a successor of its name until it
   * is stopped, and says later when devices reach it.
   */
  announceReady(facts?: Readonly<Record<string, unknown>> & { yields?: boolean }): void;
  /** Says that devices reach this process: the process that it replaces may end. */
  announceServing(): void;
  /** Tells only the supervisor that started it. */
  tellStarter(message: Readonly<Record<string, unknown>>): void;
  /** Removes the listeners, and what was left in the home for a supervisor. */
  release(): Promise<void>;
}

/**
 * How long a process keeps working without a supervisor: less than the 30 s that a supervisor of 1.1, which adopts
 * nobody, waits for the ports.
 */
const orphanMs = 20_000;
const beatMs = 2000;

/** @param patienceMs how long it keeps working without a supervisor */
export function openSupervision(own: OwnProcess, patienceMs = orphanMs): Supervision {
  const controller = new AbortController();
  const { signal } = controller;
  const request = (reason: unknown): void => controller.abort(reason);
  const progress: Progress = { ready: false, yields: false, serving: false };
  const onGone = () => request('the supervisor is gone');
  const search = createAdopterSearch({ own, progress, patienceMs, signal, onGone });

  const onTerminate = (): void => request('SIGTERM');
  const onInterrupt = (): void => request('SIGINT');
  const onDisconnect = (): void => void search.look();
  process.on('SIGTERM', onTerminate).on('SIGINT', onInterrupt).on('disconnect', onDisconnect);
  const supervised = process.send !== undefined;
  // It may be gone before we listened.
  if (supervised && !process.connected) onDisconnect();

  const mark = new AdoptableMark(own);
  // From the event loop that does the work: a thread of its own would keep beating while the work hangs.
  let underWay = false;
  const beat = (): void => {
    // A full disk passes: it is tried again with each heartbeat.
    if (supervised) mark.ensure();
    search.tell({ type: 'alive' });
    // A supervisor that is stopped reads nothing: until it has taken one heartbeat, no other is sent.
    if (!process.connected || underWay) return;
    underWay = true;
    sendStarter({ type: 'alive' }, () => {
      underWay = false;
    });
  };
  beat();
  const beating = setInterval(beat, beatMs).unref();

  const tellStarter = (message: Readonly<Record<string, unknown>>): void => {
    if (process.connected) sendStarter(message);
  };
  const tell = (message: Readonly<Record<string, unknown>>): void => {
    tellStarter(message);
    search.tell(message);
  };

  return {
    signal,
    request,
    announceReady: (facts = {}) => {
      progress.ready = true;
      progress.yields = facts.yields === true;
      tell({ type: 'ready', ...facts });
    },
    announceServing: () => {
      progress.serving = true;
      tell({ type: 'serving' });
    },
    tellStarter,
    release: async () => {
      clearInterval(beating);
      process.off('SIGTERM', onTerminate).off('SIGINT', onInterrupt).off('disconnect', onDisconnect);
      await search.close();
      await mark.remove();
    },
  };
}

/** A message that no longer arrives shows by the end of the channel; without a callback it would end this process. */
function sendStarter(message: Readonly<Record<string, unknown>>, done: () => void = () => undefined): void {
  process.send?.(message, undefined, undefined, done);
}

/** Resolves when the signal is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
