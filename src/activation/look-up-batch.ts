/**
 * Batches look-ups by name into few statements: those that arrive while the statements run go into the next one, each
 * name once, however many ask for it.
 *
 * Invariant: a look-up waits for the running statements and those of the names before it, never for others of its own
 * name; it is answered by a statement that started after the request. The queue is bounded, and the busiest sender is
 * refused first: a sender gets a place while it has fewer look-ups waiting than there are free places, so the last ones
 * go only to senders that have none.
 */
interface LookUpBatchOptions<Found> {
  /** One statement. */
  readonly find: (names: readonly string[]) => Promise<ReadonlyMap<string, Found>>;
  /** Maximum number of names in one statement. */
  readonly maxNames?: number;
  /** Maximum number of concurrent statements. */
  readonly maxStatements?: number;
  /** Maximum number of waiting look-ups. */
  readonly maxWaiting?: number;
}

interface LookUps<Found> {
  /**
   * Undefined if nothing has the name; `busy` if there is no place for the sender. Rejects with the statement's error.
   */
  find(name: string, sender: string): Promise<Found | 'busy' | undefined>;
}

interface Waiting<Found> {
  readonly sender: string;
  readonly resolve: (found: Found | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export function createLookUps<Found>(options: LookUpBatchOptions<Found>): LookUps<Found> {
  const { find, maxNames = 128, maxStatements = 2, maxWaiting = 10_000 } = options;
  /** By name, in the order of the first request for each. */
  const waiting = new Map<string, Waiting<Found>[]>();
  const waitingOf = new Map<string, number>();
  let waitingInAll = 0;
  let underWay = 0;

  function takeBatch(): Map<string, Waiting<Found>[]> {
    const batch = new Map<string, Waiting<Found>[]>();
    for (const [name, asking] of waiting) {
      if (batch.size === maxNames) break;
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
    while (underWay < maxStatements && waiting.size > 0) void run(takeBatch());
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
