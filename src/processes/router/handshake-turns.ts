/**
 * Turns for TLS handshakes, as rules without I/O: each costs this process most of a millisecond, and a stranger can
 * open any number of connections. Nobody is refused here: when there are many, they wait, and the addresses take turns.
 *
 * Invariant: handshakes never begin faster than the allowed rate; and a connection waits for at most one from each
 * other address per turn of its own address, and for the earlier ones of its own.
 */

interface Waiting {
  begin: () => void;
}

export class HandshakeTurns {
  readonly #perSecond: number;
  /** In the order of their turns; within an address, in order of arrival. */
  readonly #waiting = new Map<string, Set<Waiting>>();
  #turns: number;
  #countedAtMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#turns = this.#turnsAtOnce;
    this.#countedAtMs = nowMs;
  }

  /** Addresses with waiting connections. */
  get addresses(): number {
    return this.#waiting.size;
  }

  /** @returns a function that removes it: a connection that ends while waiting gets no turn. */
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

  /** Starts the handshakes that may begin now. */
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

  /** The burst allowed after a pause: a quarter of a second's worth. */
  get #turnsAtOnce(): number {
    return Math.max(1, this.#perSecond / 4);
  }
}
