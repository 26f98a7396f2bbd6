/**
 * Statements that wait for a session, the longest waiting first.
 *
 * Invariant: each gets a session or an error that says it was not sent, never both.
 */
import { isUnreachable, markUnsent, wasTerminated } from './connection-loss.ts';
import type { Session } from './session.ts';

const patienceWithCutsMs = 1000;

interface Waiter {
  readonly since: number;
  resolve(session: Session): void;
  reject(error: unknown): void;
}

export class SessionWaiters {
  readonly #patienceMs: () => number;
  readonly #nowMs: () => number;
  readonly #waiters: Waiter[] = [];

  constructor(patienceMs: () => number, nowMs: () => number) {
    this.#patienceMs = patienceMs;
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#waiters.length;
  }

  wait(): Promise<Session> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ since: this.#nowMs(), resolve, reject });
    });
  }

  /** False when nobody waits. */
  serve(session: Session): boolean {
    const waiter = this.#waiters.shift();
    waiter?.resolve(session);
    return waiter !== undefined;
  }

  /** Statements whose patience has run out fail; on permanent errors, such as a wrong password, all do. */
  expire(error: unknown): void {
    const hopeless = !isUnreachable(error);
    // A session cut while it was starting says little about the next one.
    const patienceMs = wasTerminated(error) ? Math.max(this.#patienceMs(), patienceWithCutsMs) : this.#patienceMs();
    const before = this.#nowMs() - patienceMs;
    for (let first = this.#waiters[0]; first && (hopeless || first.since <= before); first = this.#waiters[0]) {
      this.#waiters.shift();
      first.reject(markUnsent(error));
    }
  }

  failAll(error: () => unknown): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(markUnsent(error()));
  }
}
