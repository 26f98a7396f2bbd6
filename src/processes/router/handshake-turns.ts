/**
 * Turns for TLS handshakes, as rules without I/O: each costs this process most of a millisecond, and whoever can connect can
 * have as many as it likes. Nobody is refused here: who comes when there are many waits, in turns of the addresses.
 *
 * Invariant: no more handshakes begin than are to in the time, whoever asks; and one of an address waits for at most one of each
 * other address, and those of its own.
 */

interface Waiting {
  begin: () => void;
}

export class HandshakeTurns {
  readonly #perSecond: number;
  /** In the order of their turns; of each address in the order in which they came. */
  readonly #waiting = new Map<string, Set<Waiting>>();
  #turns: number;
  #countedAtMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#turns = this.#turnsAtOnce;
    this.#countedAtMs = nowMs;
  }

  /** Addresses of which any waits. */
  get addresses(): number {
    return this.#waiting.size;
  }

  /** @returns what takes it out again: a connection that ends while it waits has no turn. */
  enter(address: string, begin: () => void): () => void {
    const own = this.#waiting.get(address) ?? new Set<Waiting>();
    this.#waiting.set(address, own);
    const entry = { begin };
    own.add(entry);
    return () => {
      own.delete(entry);
      if (own.size === 0 && this.#waiting.get(address) === own) this.#waiting.delete(address);
    };
  }

  /** Begins what may begin now. */
  beginDue(nowMs: number): void {
    const earned = ((nowMs - this.#countedAtMs) / 1000) * this.#perSecond;
    this.#turns = Math.min(this.#turnsAtOnce, this.#turns + earned);
    this.#countedAtMs = nowMs;
    for (let next = this.#take(); next; next = this.#take()) next.begin();
  }

  #take(): Waiting | undefined {
    if (this.#turns < 1) return undefined;
    for (const [address, own] of this.#waiting) {
      this.#waiting.delete(address);
      const [first] = own;
      if (!first) continue;
      own.delete(first);
      if (own.size > 0) this.#waiting.set(address, own);
      this.#turns -= 1;
      return first;
    }
    return undefined;
  }

  /** What comes together after a pause: a quarter of a second's. */
  get #turnsAtOnce(): number {
    return Math.max(1, this.#perSecond / 4);
  }
}
