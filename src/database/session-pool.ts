/**
 * A pool of sessions with the driver's interface: statements, transactions, notifications. A statement has a session to
 * itself (`sessions.ts`).
 *
 * Invariant: nothing goes through the driver's own connections, and a statement is sent once, when it is first waited for.
 */
import { createListener } from './notifications.ts';
import { driver, type Sql, withinSession } from './session.ts';
import { type PoolOptions, Sessions } from './sessions.ts';

type Work = (tx: unknown) => unknown;
type Settle = (...settled: unknown[]) => unknown;

export function openPool(url: string, options: PoolOptions): Sql {
  const sessions = new Sessions(url, options);
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
    [withinSession]: sessions.within.bind(sessions),
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

const sentOnce = Symbol('how a statement is sent');

interface SentLater extends Promise<unknown> {
  readonly [sentOnce]: () => Promise<unknown>;
}

/** By the prototype of the driver's statements: what these do instead, who belong to a pool. */
const prototypes = new Map<object, object>();

/** A statement is sent when it is first waited for; until then it may become part of another one. */
function sentLater(statement: Promise<unknown>, send: (sql: Sql) => PromiseLike<unknown>, sessions: Sessions) {
  let outcome: Promise<unknown> | undefined;
  const once = (): Promise<unknown> => {
    outcome ??= sessions.within(send);
    return outcome;
  };
  const ofDriver = Object.getPrototypeOf(statement) as object;
  const prototype = prototypes.get(ofDriver) ?? prototypeOf(ofDriver);
  prototypes.set(ofDriver, prototype);
  // A page of a list is made of dozens of these: one prototype for all costs a tenth of properties for each.
  return Object.setPrototypeOf(Object.assign(statement, { [sentOnce]: once }), prototype) as SentLater;
}

function prototypeOf(ofDriver: object): object {
  const refused = refusing(ofTheStatement, 'the statement that is sent would not have it');
  return Object.assign(Object.create(ofDriver) as object, refused, {
    // The driver's own would send it a second time, on a connection that is not of the pool: at `catch` and `finally` too.
    handle: () => {},
    // biome-ignore lint/suspicious/noThenProperty: a statement of the driver is a promise, and this is when it is sent.
    then(this: SentLater, done?: Settle, failed?: Settle) {
      return this[sentOnce]().then(done, failed);
    },
    execute(this: SentLater) {
      this[sentOnce]().catch(() => {});
      return this;
    },
  });
}
