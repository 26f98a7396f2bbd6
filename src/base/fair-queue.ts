/**
 * Starts work with bounded concurrency, round robin: over the lanes, and within a lane over the keys.
 *
 * Invariant: a key's work waits for at most one piece of each other key in its lane and as many of the other lanes,
 * however much they queued before; the queue is bounded per key and per lane, so that nobody takes up another lane's
 * room.
 */
interface FairQueueOptions {
  readonly lanes: readonly string[];
  /** Pieces of work in progress. */
  readonly maxInProgress: number;
  /** Of these, pieces of one key in a lane. Default: the same number. */
  readonly maxInProgressOfKey?: number;
  /** Places in one lane, including those in progress. */
  readonly maxPlaces: number;
  /** Places of one key in a lane. */
  readonly maxPlacesOfKey: number;
}

export interface FairQueue {
  /** Reserves a place for one piece of work; undefined when none is left. The caller must `leave` it in any case. */
  enter(lane: string, key: string): Place | undefined;
  /** Pieces of work that have not started. */
  readonly waiting: number;
}

export interface Place {
  /** Resolves when it is this piece's turn, which lasts until `leave`. Called once. */
  turn(): Promise<void>;
  leave(): void;
}

interface Lane {
  readonly places: Map<string, number>;
  /** Pieces in progress, by key. */
  readonly begun: Map<string, number>;
  /** Who waits, by key, in the order of their turns. */
  readonly waiting: Map<string, (() => void)[]>;
  taken: number;
}

export function createFairQueue(options: FairQueueOptions): FairQueue {
  const lanes = new Map<string, Lane>(
    options.lanes.map((name) => [name, { places: new Map(), begun: new Map(), waiting: new Map(), taken: 0 }]),
  );
  /** Lanes in the order of their turns. */
  let order = [...lanes.values()];
  const { maxInProgress, maxInProgressOfKey = maxInProgress } = options;
  let underWay = 0;
  let waiting = 0;

  /**
   * The next to start: the first piece of the first eligible key of the first lane that has one; key and lane then go
   * to the end.
   */
  function takeNext(): (() => void) | undefined {
    for (const lane of order) {
      for (const [key, starts] of lane.waiting) {
        if ((lane.begun.get(key) ?? 0) >= maxInProgressOfKey) continue;
        const start = starts.shift();
        lane.waiting.delete(key);
        if (starts.length > 0) lane.waiting.set(key, starts);
        order = [...order.filter((other) => other !== lane), lane];
        waiting -= 1;
        return start;
      }
    }
    return undefined;
  }

  function startNext(): void {
    while (underWay < maxInProgress) {
      const start = takeNext();
      if (start === undefined) return;
      underWay += 1;
      start();
    }
  }

  return {
    enter(name, key) {
      const lane = lanes.get(name);
      if (lane === undefined) throw new TypeError(`there is no lane ${name}`);
      const ofKey = lane.places.get(key) ?? 0;
      if (lane.taken >= options.maxPlaces || ofKey >= options.maxPlacesOfKey) return undefined;
      lane.taken += 1;
      count(lane.places, key, 1);
      let begun = false;
      let left = false;
      return {
        turn: () =>
          new Promise<void>((resolve) => {
            const start = () => {
              begun = true;
              count(lane.begun, key, 1);
              resolve();
            };
            const starts = lane.waiting.get(key);
            if (starts === undefined) lane.waiting.set(key, [start]);
            else starts.push(start);
            waiting += 1;
            startNext();
          }),
        leave() {
          if (left) return;
          left = true;
          lane.taken -= 1;
          count(lane.places, key, -1);
          if (!begun) return;
          count(lane.begun, key, -1);
          underWay -= 1;
          startNext();
        },
      };
    },
    get waiting() {
      return waiting;
    },
  };
}

function count(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const counted = (counts.get(key) ?? 0) + change;
  if (counted > 0) counts.set(key, counted);
  else counts.delete(key);
}
