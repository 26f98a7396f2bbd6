/**
 * Look-ups by name, gathered into few statements: what waits while those are under way goes into the next one, each name
 * once, however many ask for it.
 *
 * Invariant: a look-up waits for the statements that are under way and those of the names before it, and never for others of
 * its own name; it is answered by a statement that began after it was asked. The queue is bounded, and the busiest
 * sender is refused first: a sender has a place while fewer of its look-ups wait than places are left, so that the last ones are had
 * only by who has none.
 */
export interface LookUpBatchOptions<Found> {
  /** One statement. */
  readonly find: (names: readonly string[]) => Promise<ReadonlyMap<string, Found>>;
  /** Names in one statement at most. */
  readonly namesAtOnce?: number;
  /** Statements under way at the same time, at most. */
  readonly statementsAtOnce?: number;
  /** Look-ups that wait, at most. */
  readonly maxWaiting?: number;
}

export interface LookUps<Found> {
  /** Undefined where nothing has the name; `busy` where there is no place for the sender. Rejects with what the statement did. */
  find(name: string, sender: string): Promise<Found | 'busy' | undefined>;
}

interface Waiting<Found> {
  readonly sender: string;
  readonly resolve: (found: Found | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export function createLookUps<Found>(options: LookUpBatchOptions<Found>): LookUps<Found> {
  const { find, namesAtOnce = 128, statementsAtOnce = 2, maxWaiting = 10_000 } = options;
  /** By name, in the order in which the names were first asked for. */
  const waiting = new Map<string, Waiting<Found>[]>();
  const waitingOf = new Map<string, number>();
  let waitingInAll = 0;
  let underWay = 0;

  function takeBatch(): Map<string, Waiting<Found>[]> {
    const batch = new Map<string, Waiting<Found>[]>();
    for (const [name, asking] of waiting) {
      if (batch.size === namesAtOnce) break;
      waiting.delete(name);
      batch.set(name, asking);
      waitingInAll -= asking.length;
      for (const { sender } of asking) {
        const left = (waitingOf.get(sender) ?? 1) - 1;
        if (left > 0) waitingOf.set(sender, left);
        else waitingOf.delete(sender);
      }
    }
    return batch;
  }

  async function run(batch: ReadonlyMap<string, readonly Waiting<Found>[]>): Promise<void> {
    underWay += 1;
    try {
      const found = await find([...batch.keys()]);
      for (const [name, asking] of batch) for (const { resolve } of asking) resolve(found.get(name));
    } catch (error) {
      for (const asking of batch.values()) for (const { reject } of asking) reject(error);
    } finally {
      underWay -= 1;
      startNext();
    }
  }

  function startNext(): void {
    while (underWay < statementsAtOnce && waiting.size > 0) void run(takeBatch());
  }

  return {
    async find(name, sender) {
      const ofSender = waitingOf.get(sender) ?? 0;
      if (ofSender >= maxWaiting - waitingInAll) return 'busy';
      waitingOf.set(sender, ofSender + 1);
      waitingInAll += 1;
      const asked = new Promise<Found | undefined>((resolve, reject) => {
        const asking = waiting.get(name);
        if (asking === undefined) waiting.set(name, [{ sender, resolve, reject }]);
        else asking.push({ sender, resolve, reject });
      });
      startNext();
      return await asked;
    },
  };
}
