/**
 * Bounded memory of owners: the least recently used leaves first, and every entry ends by itself.
 *
 * Invariant: never more than `capacity` entries, whatever tokens are thrown at the router.
 */

interface Entry<Value> {
  value: Value;
  askedAtMs: number;
  endsAtMs: number;
}

export class RouteCache<Value> {
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #capacity: number;
  readonly #now: () => number;

  constructor(capacity: number, now: () => number) {
    this.#capacity = capacity;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value, unless it ended or is older than `maxAgeMs`. */
  get(key: string, maxAgeMs = Number.POSITIVE_INFINITY): Value | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    const now = this.#now();
    // Deleting and setting again moves the entry to the young end of the map's order.
    this.#entries.delete(key);
    if (entry.endsAtMs <= now) return undefined;
    this.#entries.set(key, entry);
    return now - entry.askedAtMs <= maxAgeMs ? entry.value : undefined;
  }

  set(key: string, value: Value, lifeMs: number): void {
    const now = this.#now();
    this.#entries.delete(key);
    this.#entries.set(key, { value, askedAtMs: now, endsAtMs: now + lifeMs });
    if (this.#entries.size > this.#capacity) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
