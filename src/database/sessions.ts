/**
 * The sessions of a pool: opened as statements wait for one, up to a limit, and replaced when lost, unused or old.
 *
 * Invariants: nothing is sent to a session known to be lost, and a statement that waits for a session is not lost with
 * another one: within its patience, a restarting database costs time but causes no error. There are never more sessions
 * than `max`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { markUnsent } from './connection-loss.ts';
import { connectionError, openSession, type Session, type Sql } from './session.ts';
import { SessionWaiters } from './session-waiters.ts';
import type { SilenceLimits } from './silence-watch.ts';

export interface PoolOptions {
  readonly applicationName: string;
  readonly max: number;
  /** How long a statement waits for an unreachable database; 0: the first failure fails it. */
  readonly patienceMs: () => number;
  /** Called for each failed attempt to connect while a statement waits. */
  readonly onUnreachable: (error: unknown) => void;
  /** After which an unused session is closed; 0 keeps it, and `once` does. */
  readonly idleTimeoutMs: number;
  /** Number to keep, however long unused; default none. */
  readonly keep?: number;
  /** See openDatabase. */
  readonly plansOnce?: boolean;
  /**
   * Whether the first session is the only one ever: its locks and settings would be missing in the next. It never
   * expires.
   */
  readonly once: boolean;
  /** See openSession. */
  readonly silence?: SilenceLimits;
  /** Milliseconds of a clock that never goes back; default the machine's. */
  readonly nowMs?: () => number;
}

/** A session open for this long is closed to free its memory in the server, if another can replace it. */
export const maxLifeMs = 45 * 60_000;
const firstDelayMs = 25;
const maxDelayMs = 500;

export class Sessions {
  readonly #url: string;
  readonly #options: PoolOptions;
  readonly #nowMs: () => number;
  readonly #oldestMs: number;
  readonly #waiters: SessionWaiters;
  readonly #idle: { session: Session; since: number }[] = [];
  readonly #born = new Map<Session, number>();
  readonly #ended = new AbortController();
  readonly #drained = Promise.withResolvers<void>();
  readonly #idleTimer: NodeJS.Timeout | undefined;
  #connecting = 0;
  #opened = false;

  constructor(url: string, options: PoolOptions) {
    const { idleTimeoutMs, once } = options;
    this.#url = url;
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#oldestMs = options.once ? Number.POSITIVE_INFINITY : maxLifeMs;
    this.#waiters = new SessionWaiters(options.patienceMs, this.#nowMs);
    this.#idleTimer =
      idleTimeoutMs > 0 && !once ? setInterval(() => this.#closeUnused(), idleTimeoutMs / 2) : undefined;
    this.#idleTimer?.unref();
  }

  async within<Result>(work: (sql: Sql) => PromiseLike<Result>): Promise<Result> {
    const session = await this.#acquire();
    try {
      return await session.run(work);
    } finally {
      if (this.#born.has(session)) this.#offer(session);
    }
  }

  /** Lets statements that have a session finish, for as long as the time-out; null: for ever. */
  async end(timeoutSeconds: number | null): Promise<void> {
    if (!this.#ended.signal.aborted) {
      clearInterval(this.#idleTimer);
      this.#ended.abort();
      this.#waiters.failAll(poolClosed);
      for (const { session } of this.#idle.splice(0)) this.#drop(session);
      if (this.#born.size === 0) this.#drained.resolve();
    }
    const late = new AbortController();
    const limit = timeoutSeconds === null ? this.#drained.promise : delay(timeoutSeconds * 1000, undefined, late);
    await Promise.race([this.#drained.promise, limit.catch(() => {})]);
    late.abort();
    for (const session of [...this.#born.keys()]) this.#drop(session);
  }

  async #acquire(): Promise<Session> {
    for (let entry = this.#idle.pop(); entry; entry = this.#idle.pop()) {
      if (!entry.session.isLost()) return entry.session;
    }
    if (this.#ended.signal.aborted) throw markUnsent(poolClosed());
    const session = this.#waiters.wait();
    this.#grow();
    return await session;
  }

  /** To the longest waiting statement, or back to the unused ones. */
  #offer(session: Session): void {
    const isOld = this.#nowMs() - (this.#born.get(session) ?? 0) > this.#oldestMs;
    if (this.#ended.signal.aborted || session.isLost() || isOld) this.#drop(session);
    else if (!this.#waiters.serve(session)) this.#idle.push({ session, since: this.#nowMs() });
  }

  #drop(session: Session): void {
    this.#born.delete(session);
    const at = this.#idle.findIndex((entry) => entry.session === session);
    if (at >= 0) this.#idle.splice(at, 1);
    session.close();
    if (this.#ended.signal.aborted && this.#born.size === 0) this.#drained.resolve();
    else this.#grow();
  }

  #closeUnused(): void {
    const { idleTimeoutMs, keep = 0 } = this.#options;
    const unused = this.#idle.filter(({ since }) => this.#nowMs() - since > idleTimeoutMs);
    for (const { session } of unused.slice(0, Math.max(0, this.#born.size - keep))) this.#drop(session);
  }

  /** Opens as many sessions as are waited for, up to `max`. */
  #grow(): void {
    while (
      this.#connecting < this.#waiters.count &&
      this.#born.size + this.#connecting < this.#options.max &&
      !this.#ended.signal.aborted
    ) {
      this.#connecting += 1;
      void this.#connect().finally(() => {
        this.#connecting -= 1;
        this.#grow();
      });
    }
  }

  async #connect(): Promise<void> {
    const { once, onUnreachable } = this.#options;
    for (let delayMs = firstDelayMs; this.#waiters.count > 0 && !this.#ended.signal.aborted; delayMs *= 2) {
      try {
        if (once && this.#opened)
          throw connectionError('CONNECTION_ENDED', 'the session was lost, and its locks with it');
        await this.#open();
        return;
      } catch (error) {
        onUnreachable(error);
        this.#waiters.expire(error);
        const pauseMs = Math.min(maxDelayMs, delayMs) * (0.5 + Math.random() / 2);
        if (this.#waiters.count > 0) await delay(pauseMs, undefined, { signal: this.#ended.signal }).catch(() => {});
      }
    }
  }

  async #open(): Promise<void> {
    const { applicationName, plansOnce, silence } = this.#options;
    const session = await openSession(this.#url, {
      ...{ applicationName, plansOnce: plansOnce === true },
      ...(silence && { silence }),
    });
    this.#opened = true;
    this.#born.set(session, this.#nowMs());
    void session.lost.then(({ hasVanished }) => {
      // The others would each have to find that out with a statement.
      if (hasVanished) for (const idle of this.#idle.splice(0)) this.#drop(idle.session);
      if (this.#born.has(session)) this.#drop(session);
    });
    this.#offer(session);
  }
}

function poolClosed(): Error {
  return connectionError('CONNECTION_ENDED', 'the pool was closed');
}
