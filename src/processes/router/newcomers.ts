/**
 * Connections at the SRP port that are not yet admitted, and their limits: rules without I/O.
 *
 *   unproven (TLS under way) → proven (a certificate of the domain authority) → admitted, or gone
 *
 * Invariant: when there is no room, the oldest is cut, never the newest: it has had the most time to identify itself,
 * and the newest may be the rightful holder's. An unproven connection never displaces a proven one, and one with an
 * identifier's certificate takes room of that identifier only.
 */

export interface NewcomerLimits {
  maxUnproven: number;
  maxProven: number;
  /** Proven connections, for one identifier. */
  maxPerIdentifier: number;
}

const defaultNewcomerLimits: NewcomerLimits = {
  maxUnproven: 512,
  maxProven: 1024,
  maxPerIdentifier: 16,
};

export interface Newcomer {
  readonly identifier: string | null;
}

interface Entry extends Newcomer {
  identifier: string | null;
  cut: () => void;
}

export class Newcomers {
  readonly #limits: NewcomerLimits;
  // Sets keep the order of insertion: the first is the oldest.
  readonly #unproven = new Set<Entry>();
  readonly #proven = new Set<Entry>();
  readonly #byIdentifier = new Map<string, Set<Entry>>();
  /** Connections cut so far for lack of room, for the metrics. */
  cut = 0;

  constructor(limits: Partial<NewcomerLimits> = {}) {
    this.#limits = { ...defaultNewcomerLimits, ...limits };
  }

  get unproven(): number {
    return this.#unproven.size;
  }

  get proven(): number {
    return this.#proven.size;
  }

  /** A connection was accepted; `cut` ends it when its place is needed. */
  enter(cut: () => void): Newcomer {
    const entry: Entry = { identifier: null, cut };
    this.#unproven.add(entry);
    this.#cutOldest(this.#unproven, this.#limits.maxUnproven);
    return entry;
  }

  /** Its certificate was issued by the domain authority for this identifier. */
  prove(newcomer: Newcomer, identifier: string): void {
    const entry = newcomer as Entry;
    if (!this.#unproven.delete(entry)) return;
    entry.identifier = identifier;
    const own = this.#byIdentifier.get(identifier) ?? new Set();
    this.#byIdentifier.set(identifier, own.add(entry));
    this.#proven.add(entry);
    this.#cutOldest(own, this.#limits.maxPerIdentifier);
    this.#cutOldest(this.#proven, this.#limits.maxProven);
  }

  /** It was admitted, or has closed. */
  leave(newcomer: Newcomer): void {
    const entry = newcomer as Entry;
    this.#unproven.delete(entry);
    this.#proven.delete(entry);
    if (entry.identifier === null) return;
    const own = this.#byIdentifier.get(entry.identifier);
    own?.delete(entry);
    if (own?.size === 0) this.#byIdentifier.delete(entry.identifier);
  }

  #cutOldest(among: ReadonlySet<Entry>, max: number): void {
    for (const entry of among) {
      if (among.size <= max) return;
      this.leave(entry);
      this.cut += 1;
      entry.cut();
    }
  }
}
