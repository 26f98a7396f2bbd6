/**
 * What a process reports about itself, over any channel: that it is ready, that devices reach it, that its event loop
 * is running.
 *
 * Invariant: only a process that has sent a heartbeat is expected to send more (releases before 1.2 send none), and its
 * silence is counted in turns of our own timer: time in which the supervisor itself, or the machine, was suspended is
 * not held against it.
 */

import * as z from 'zod';

/** Processes of other releases send these too. */
export const signShape = z.looseObject({
  type: z.enum(['ready', 'serving', 'alive']),
  yields: z.boolean().optional(),
});

export interface ProcessSigns {
  /** Handles a message from the process. */
  take(message: unknown): void;
  /** Resolves when the process reports that it is ready; otherwise never. */
  readonly ready: Promise<void>;
  /** Resolves when devices reach it; if the process does not report that, when it is ready. */
  readonly serving: Promise<void>;
  /** Whether that has resolved. */
  isServing(): boolean;
  /** It keeps running beside a successor of its name until it is stopped; known once it is ready. */
  yields(): boolean;
  /** Resolves when it has been silent for too long after a heartbeat; otherwise never. */
  readonly hung: Promise<void>;
  /** Stops watching. */
  release(): void;
}

/** Number of turns into which `hungAfterMs` is divided for counting a process's silence. */
const silentTurns = 15;

export function watchSigns(hungAfterMs: number, exited: Promise<unknown>): ProcessSigns {
  const ready = Promise.withResolvers<void>();
  const serving = Promise.withResolvers<void>();
  const hung = Promise.withResolvers<void>();
  let yields = false;
  let isServing = false;
  let turns: NodeJS.Timeout | undefined;
  let silent = 0;
  let released = false;
  const release = () => {
    released = true;
    clearInterval(turns);
  };
  const turn = () => {
    silent += 1;
    if (silent < silentTurns) return;
    release();
    hung.resolve();
  };
  const serve = () => {
    isServing = true;
    serving.resolve();
  };
  void exited.then(release);
  return {
    take: (message) => {
      const said = signShape.safeParse(message).data;
      if (said?.type === 'ready') {
        yields = said.yields === true;
        ready.resolve();
        if (!yields) serve();
      }
      if (said?.type === 'serving') serve();
      if (said?.type === 'alive') {
        silent = 0;
        if (!released) turns ??= setInterval(turn, hungAfterMs / silentTurns);
      }
    },
    ready: ready.promise,
    serving: serving.promise,
    isServing: () => isServing,
    yields: () => yields,
    hung: hung.promise,
    release,
  };
}
