/**
 * A bounded cache of owners: the least recently used is evicted first, and every entry expires.
 *
 * Invariant: never more than `capacity` entries, whatever tokens are thrown at the router.
 */

import { BoundedMap } from '../../base/bounded-map.ts';

interface Entry<Value> {
  value: Value;
  askedAtMs: number;
  endsAtMs: number;
}

export class RouteCache<Value> {
  /** Reading an entry makes it the most recent. */
  readonly #entries: BoundedMap<string, Entry<Value>>;
  readonly #now: () => number;

  constructor(capacity: number, now: () => number) {
    this.#entries = new BoundedMap(capacity);
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value, unless it has expired or is older than `maxAgeMs`. */
  get(key: string, maxAgeMs = Number.POSITIVE_INFINITY): Value | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    const now = this.#now();
    if (entry.endsAtMs <= now) {
      this.#entries.delete(key);
      return undefined;
    }
    this.#entries.set(key, entry);
    return now - entry.askedAtMs <= maxAgeMs ? entry.value : undefined;
  }

  set(key: string, value: Value, lifeMs: number): void {
    const now = this.#now();
    this.#entries.set(key, { value, askedAtMs: now, endsAtMs: now + lifeMs });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
