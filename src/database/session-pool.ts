/**
 * A pool of sessions with the driver's interface: statements, transactions, notifications. A statement has a session to
 * itself.
 *
 * Invariants: nothing is sent to a session known to be lost, and a statement that waits for a session is not lost with
 * another one: within its patience, a restarting database costs time but causes no error. There are never more sessions
 * than `max`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isUnreachable, markUnsent, wasTerminated } from './connection-loss.ts';
import { createListener } from './notifications.ts';
import { connectionError, driver, openSession, type Session, type Sql } from './session.ts';
import { withinSession } from './together.ts';

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
  /** Milliseconds of a clock that never goes back; default the machine's. */
  readonly nowMs?: () => number;
}

interface Waiter {
  readonly since: number;
  resolve(session: Session): void;
  reject(error: unknown): void;
}

type Work = (tx: unknown) => unknown;
type Settle = (...settled: unknown[]) => unknown;

/** A session open for this long is closed to free its memory in the server, if another can replace it. */
export const maxLifeMs = 45 * 60_000;
const patienceWithCutsMs = 1000;
const firstDelayMs = 25;
const longestDelayMs = 500;

export function openPool(url: string, options: PoolOptions): Sql {
  const sessions = createSessions(url, options);
  const listening = new AbortController();
  const listener = createListener({ url, applicationName: options.applicationName, signal: listening.signal });
  const builder = driver(url, options.applicationName);
  const faces: Readonly<Record<PropertyKey, unknown>> = {
    unsafe: (...parameters: Parameters<Sql['unsafe']>) =>
      sentLater(builder.unsafe(...parameters), (sql) => sql.unsafe(...parameters), sessions),
    begin: async (options: string, work: Work) =>
      await sessions.within((sql) => sql.begin(options, work) as Promise<unknown>),
    listen: (channel: string, onNotify: (payload: string) => void, onListen?: () => void) =>
      listener.listen(channel, onNotify, onListen),
    end: async ({ timeout = null }: { timeout?: number | null } = {}) => {
      listening.abort();
      await sessions.end(timeout);
    },
    [withinSession]: sessions.within,
    ...refusing(ofTheDriver, 'the driver would take a connection that is not of the pool for it'),
  };
  return new Proxy(builder, {
    apply: (target, self, parameters: unknown[]) => {
      const built: unknown = Reflect.apply(target, self, parameters);
      if (!(built instanceof Promise)) return built;
      return sentLater(built, (sql) => Reflect.apply(sql, undefined, parameters) as PromiseLike<unknown>, sessions);
    },
    get: (target, key) => faces[key] ?? Reflect.get(target, key),
  });
}

/** Functions that the driver runs on a separate connection, or waits for one for ever. */
const ofTheDriver = ['reserve', 'subscribe', 'notify', 'file', 'largeObject', 'close'];
/** Modifiers of a driver statement: they would be lost, since another statement is built and sent in a session. */
const ofTheStatement = 'values raw simple cursor forEach stream describe readable writable cancel'.split(' ');

function refusing(names: readonly string[], why: string): Readonly<Record<string, () => never>> {
  const refuse = (name: string) => (): never => {
    throw new TypeError(`${name} is not supported by the pool: ${why}.`);
  };
  return Object.fromEntries(names.map((name) => [name, refuse(name)]));
}

const refusedOfStatements: PropertyDescriptorMap = Object.fromEntries(
  Object.entries(refusing(ofTheStatement, 'the statement that is sent would not have it')).map(([name, value]) => [
    name,
    { value },
  ]),
);

/** A statement is sent when it is first waited for; until then it may become part of another one. */
function sentLater(statement: Promise<unknown>, send: (sql: Sql) => PromiseLike<unknown>, sessions: Sessions) {
  let outcome: Promise<unknown> | undefined;
  const sent = (): Promise<unknown> => {
    outcome ??= sessions.within(send);
    return outcome;
  };
  return Object.defineProperties(statement, {
    ...refusedOfStatements,
    // The driver's own would send it a second time, on a connection that is not of the pool: at `catch` and `finally` too.
    handle: { value: () => {} },
    // biome-ignore lint/suspicious/noThenProperty: a statement of the driver is a promise, and this is when it is sent.
    then: { configurable: true, value: (done?: Settle, failed?: Settle) => sent().then(done, failed) },
    execute: {
      value: () => {
        sent().catch(() => {});
        return statement;
      },
    },
  });
}

interface Sessions {
  within<Result>(work: (sql: Sql) => PromiseLike<Result>): Promise<Result>;
  end(timeoutSeconds: number | null): Promise<void>;
}

function createSessions(url: string, options: PoolOptions): Sessions {
  const nowMs = options.nowMs ?? (() => performance.now());
  const oldestMs = options.once ? Number.POSITIVE_INFINITY : maxLifeMs;
  const idle: { session: Session; since: number }[] = [];
  const waiters: Waiter[] = [];
  const born = new Map<Session, number>();
  const ended = new AbortController();
  const drained = Promise.withResolvers<void>();
  let connecting = 0;
  let attempt = 0;
  let opened = false;
  const idleTimer =
    options.idleTimeoutMs > 0 && !options.once ? setInterval(closeUnused, options.idleTimeoutMs / 2) : undefined;
  idleTimer?.unref();

  function drop(session: Session): void {
    born.delete(session);
    const at = idle.findIndex((entry) => entry.session === session);
    if (at >= 0) idle.splice(at, 1);
    session.close();
    if (ended.signal.aborted && born.size === 0) drained.resolve();
    else grow();
  }

  function closeUnused(): void {
    const unused = idle.filter(({ since }) => nowMs() - since > options.idleTimeoutMs);
    for (const { session } of unused.slice(0, Math.max(0, born.size - (options.keep ?? 0)))) drop(session);
  }

  /** To the longest waiting statement, or back to the unused ones. */
  function offer(session: Session): void {
    if (ended.signal.aborted || session.isLost() || nowMs() - (born.get(session) ?? 0) > oldestMs) {
      drop(session);
      return;
    }
    const waiter = waiters.shift();
    if (waiter) waiter.resolve(session);
    else idle.push({ session, since: nowMs() });
  }

  /** Opens as many sessions as are waited for, up to `max`. */
  function grow(): void {
    while (connecting < waiters.length && born.size + connecting < options.max && !ended.signal.aborted) {
      connecting += 1;
      void connect().finally(() => {
        connecting -= 1;
        grow();
      });
    }
  }

  async function connect(): Promise<void> {
    for (let delayMs = firstDelayMs; waiters.length > 0 && !ended.signal.aborted; delayMs *= 2) {
      try {
        if (options.once && opened)
          throw connectionError('CONNECTION_CLOSED', 'the session was lost, and its locks with it');
        const session = await openSession(url, {
          applicationName: options.applicationName,
          attempt: attempt++,
          plansOnce: options.plansOnce === true,
        });
        opened = true;
        born.set(session, nowMs());
        void session.lost.then(() => {
          if (born.has(session)) drop(session);
        });
        offer(session);
        return;
      } catch (error) {
        options.onUnreachable(error);
        expire(error);
        const pauseMs = Math.min(longestDelayMs, delayMs) * (0.5 + Math.random() / 2);
        if (waiters.length > 0) await delay(pauseMs, undefined, { signal: ended.signal }).catch(() => {});
      }
    }
  }

  /** Statements whose patience has run out fail; on permanent errors, such as a wrong password, all do. */
  function expire(error: unknown): void {
    const hopeless = !isUnreachable(error);
    // A session cut while it was starting says little about the next one.
    const patienceMs = wasTerminated(error) ? Math.max(options.patienceMs(), patienceWithCutsMs) : options.patienceMs();
    const before = nowMs() - patienceMs;
    for (let waiter = waiters[0]; waiter && (hopeless || waiter.since <= before); waiter = waiters[0]) {
      waiters.shift();
      waiter.reject(markUnsent(error));
    }
  }

  async function acquire(): Promise<Session> {
    for (let entry = idle.pop(); entry; entry = idle.pop()) {
      if (!entry.session.isLost()) return entry.session;
    }
    if (ended.signal.aborted) throw markUnsent(connectionError('CONNECTION_ENDED', 'the pool was closed'));
    return await new Promise((resolve, reject) => {
      waiters.push({ since: nowMs(), resolve, reject });
      grow();
    });
  }

  return {
    async within(work) {
      const session = await acquire();
      try {
        return await session.run(work);
      } finally {
        if (born.has(session)) offer(session);
      }
    },
    async end(timeoutSeconds) {
      if (!ended.signal.aborted) {
        clearInterval(idleTimer);
        ended.abort();
        for (const waiter of waiters.splice(0)) {
          waiter.reject(markUnsent(connectionError('CONNECTION_ENDED', 'the pool was closed')));
        }
        for (const { session } of idle.splice(0)) drop(session);
        if (born.size === 0) drained.resolve();
      }
      const late = new AbortController();
      const limit = timeoutSeconds === null ? drained.promise : delay(timeoutSeconds * 1000, undefined, late);
      await Promise.race([drained.promise, limit.catch(() => {})]);
      late.abort();
      for (const session of [...born.keys()]) drop(session);
    },
  };
}
