/**
 * What a process says of itself, over whichever channel: that it works, that devices reach it, that its event loop turns.
 *
 * Invariant: only a process that has sent a heartbeat is expected to send more (releases before 1.2 send none), and its
 * silence is counted in turns of our own timer: time in which the supervisor itself, or the machine, stood still is not
 * held against it.
 */

import * as z from 'zod';

/** Processes of another release say it too. */
export const signShape = z.looseObject({
  type: z.enum(['ready', 'serving', 'alive']),
  yields: z.boolean().optional(),
});

export interface ProcessSigns {
  /** Takes a message of the process. */
  take(message: unknown): void;
  /** Resolves when the process says that it works; never, when it does not. */
  readonly ready: Promise<void>;
  /** Resolves when devices reach it; for one that does not tell, when it is ready. */
  readonly serving: Promise<void>;
  /** It goes on beside a successor of its name until it is stopped; known once it is ready. */
  yields(): boolean;
  /** Resolves when it has been silent for too long after a heartbeat; never, when it is not. */
  readonly hung: Promise<void>;
  /** Watches no more. */
  release(): void;
}

/** Of the turns in which a process's silence is counted there are so many in `hungAfterMs`. */
const silentTurns = 15;

export function watchSigns(hungAfterMs: number, exited: Promise<unknown>): ProcessSigns {
  const ready = Promise.withResolvers<void>();
  const serving = Promise.withResolvers<void>();
  const hung = Promise.withResolvers<void>();
  let yields = false;
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
  void exited.then(release);
  return {
    take: (message) => {
      const said = signShape.safeParse(message).data;
      if (said?.type === 'ready') {
        yields = said.yields === true;
        ready.resolve();
        if (!yields) serving.resolve();
      }
      if (said?.type === 'serving') serving.resolve();
      if (said?.type === 'alive') {
        silent = 0;
        if (!released) turns ??= setInterval(turn, hungAfterMs / silentTurns);
      }
    },
    ready: ready.promise,
    serving: serving.promise,
    yields: () => yields,
    hung: hung.promise,
    release,
  };
}
