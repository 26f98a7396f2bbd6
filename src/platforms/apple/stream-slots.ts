/**
 * Bounds how many are at work at the same time; the others wait in order of arrival. Invariant: a slot that is given back
 * goes to the first who waits, so nobody is overtaken.
 */
interface StreamSlots {
  /** Resolves once there is a slot; each has to be given back. */
  take(): Promise<void>;
  giveBack(): void;
}

/** @param limit is asked for each newcomer; at least one slot exists whatever it says. */
export function createStreamSlots(limit: () => number): StreamSlots {
  const waiting: (() => void)[] = [];
  let taken = 0;
  return {
    async take() {
      if (taken < Math.max(1, limit())) {
        taken += 1;
        return;
      }
      // A slot is passed on, so `taken` does not change.
      await new Promise<void>((resolve) => waiting.push(resolve));
    },
    giveBack() {
      const next = waiting.shift();
      if (next) next();
      else taken -= 1;
    },
  };
}
