/** Lets one side wait until another says that something changed. Only those who wait already are woken. */
export interface Wakeup {
  wake(): void;
  /** Resolves at the next `wake`. Taken before the state is read, so that no change falls in between. */
  next(): Promise<void>;
}

export function createWakeup(): Wakeup {
  let waiting: (() => void)[] = [];
  return {
    wake: () => {
      const woken = waiting;
      waiting = [];
      for (const resume of woken) {
        resume();
      }
    },
    next: () => new Promise((resolve) => waiting.push(resolve)),
  };
}
