/**
 * Which of several destinations an account goes to: in turn, by their shares. Pure.
 *
 * Invariant: after any number of accounts each destination has its share of them, give or take one, so that every wave uses all.
 */
export interface Taker {
  readonly name: string;
  /** Of the accounts that it takes with others; 1 if nothing is said. */
  readonly share?: number | undefined;
}

interface Shares {
  /** The one that is furthest below its share, which has one more from now on; undefined if there is none. */
  next<One extends Taker>(takers: readonly One[]): One | undefined;
  /** An account goes there, whatever its share. */
  count(taker: Taker): void;
}

/** @param taken how many accounts go to each already, by name */
export function createShares(taken: ReadonlyMap<string, number> = new Map()): Shares {
  const counts = new Map(taken);
  const after = ({ name, share = 1 }: Taker) => ((counts.get(name) ?? 0) + 1) / share;
  const count = ({ name }: Taker) => void counts.set(name, (counts.get(name) ?? 0) + 1);
  return {
    count,
    next(takers) {
      let best = takers[0];
      for (const taker of takers) if (best !== undefined && after(taker) < after(best)) best = taker;
      if (best !== undefined) count(best);
      return best;
    },
  };
}
