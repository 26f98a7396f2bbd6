/**
 * One session of the database: a connection of the driver that is opened once, proved by a first statement, and never again.
 *
 * Invariants: a connection object serves one session only. The driver's, when it reconnects, carries over leftovers of
 * the previous session: statements that are never answered, an empty answer, the old error for the next statement. And
 * everything running in a session is settled when it is lost.
 */
import type { Socket } from 'node:net';
import postgres from 'postgres';
import { type DatabaseAddress, type DatabaseHost, readDatabaseAddress } from '../base/database-address.ts';
import { addArrayTypes } from './array-types.ts';
import { firstHost } from './first-host.ts';
import { connectSocket, isAnswering, secureSocket } from './server-socket.ts';
import { createSharedQuestions, type SilenceLimits, silenceLimits, watchSilence } from './silence-watch.ts';
import { sqlState } from './sql-state.ts';

/** Of all sessions of this process. */
const isServerThere = createSharedQuestions(isAnswering, () => performance.now());

export type Sql = postgres.Sql<Record<string, never>>;

/** Under which a pool hands one of its sessions out; `together.ts` takes it. */
export const withinSession = Symbol('within a session');

interface SessionOptions {
  readonly applicationName: string;
  /** See openDatabase. */
  readonly plansOnce?: boolean;
  readonly connectTimeoutMs?: number;
  readonly onNotify?: (channel: string, payload: string) => void;
  /** Closes the session, whether it is open yet or not. */
  readonly signal?: AbortSignal;
  /** When a server that says nothing is taken for one that has vanished. */
  readonly silence?: SilenceLimits;
}

export interface Session {
  /** @throws what the work does, or the loss of the connection, whichever comes first */
  run<Result>(work: (sql: Sql) => PromiseLike<Result>): Promise<Result>;
  isLost(): boolean;
  /** Resolves when its connection is closed, by either side, or since nobody is there any more. */
  readonly lost: Promise<{ readonly hasVanished: boolean }>;
  /** Closes in good order; statements still running are rejected. */
  close(): void;
}

/** An error for a lost connection, with the same codes as the driver's. */
export function connectionError(
  code: 'CONNECTION_CLOSED' | 'CONNECTION_ENDED' | 'CONNECTION_NO_WRITES' | 'CONNECT_TIMEOUT',
  why: string,
): Error {
  return Object.assign(new Error(`${code}: ${why}`), { code });
}

export function noAnswer(timeoutMs: number): Error {
  return connectionError('CONNECT_TIMEOUT', `the database did not answer within ${timeoutMs} ms`);
}

/** What opens the driver's connections, for statements to be built with too: it connects when it is first used. */
export function driver(url: string, applicationName: string, more: postgres.Options<Record<string, never>> = {}): Sql {
  const sql = postgres(readDatabaseAddress(url).plainUrl, {
    max: 1,
    ssl: false,
    fetch_types: false,
    idle_timeout: 0,
    max_lifetime: null,
    onnotice: () => {},
    connection: { application_name: applicationName },
    ...more,
  }) as unknown as Sql;
  addArrayTypes(sql.options);
  return sql;
}

/**
 * Plans for rows that an index finds, which every statement here is about. As long as the planner knows nothing of the rows yet, it
 * takes a whole index, or a whole table, for next to nothing (docs/adr/0035).
 * And a server that notices when our computer has vanished: it would keep the locks of our transaction for hours, and with them
 * everybody waiting.
 * Prepared: a simple query that a pooler breaks off is told of later than the session's end, and would count as sent.
 */
export async function prepareSession(sql: Sql, once: boolean): Promise<ServerState> {
  const mode = once ? 'force_generic_plan' : 'auto';
  // Without a parameter it takes one round trip.
  const [state] = await sql.unsafe<ServerState[]>(
    `select set_config('enable_bitmapscan', 'off', false), set_config('random_page_cost', '1.1', false),
            set_config('jit', 'off', false), set_config('plan_cache_mode', '${mode}', false),
            set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false),
            set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '${vanishedAfterMs}', false),
            pg_is_in_recovery() as "isStandby", current_setting('transaction_read_only')::boolean as "isReadOnly"`,
    [],
    { prepare: true, simple: false } as postgres.UnsafeQueryOptions,
  );
  return state ?? { isStandby: false, isReadOnly: false };
}

/** How long sent bytes and signs of life may remain without an answer. */
const vanishedAfterMs = 30_000;

interface ServerState {
  readonly isStandby: boolean;
  readonly isReadOnly: boolean;
}

/**
 * Opens a session and proves that the database answers in it: a pooler lets in before it has a server. Of several hosts
 * in the address it is the first that the address wants, so that a failover is followed.
 * @throws what forbade it; nothing else was sent
 */
export async function openSession(url: string, options: SessionOptions): Promise<Session> {
  const address = readDatabaseAddress(url);
  return await firstHost(address.hosts, options.signal, async (host, signal) => {
    return await openAt(url, address, host, { ...options, ...(signal && { signal }) });
  });
}

/** @param host undefined: where the environment says */
async function openAt(
  url: string,
  { tls, target }: DatabaseAddress,
  host: DatabaseHost | undefined,
  options: SessionOptions,
): Promise<Session> {
  const timeoutMs = options.connectTimeoutMs ?? 10_000;
  const lost = Promise.withResolvers<{ hasVanished: boolean }>();
  const running = createRunning();
  let isLost = false;
  let socket: Socket | undefined;
  let at = host;
  const lose = (hasVanished = false): void => {
    if (isLost) return;
    isLost = true;
    stopWatch();
    options.signal?.removeEventListener('abort', abort);
    lost.resolve({ hasVanished });
    // What the driver says of it comes first; it says nothing to a statement that came in this very moment.
    setImmediate(() =>
      setImmediate(() => running.failAll(connectionError('CONNECTION_CLOSED', 'the session was lost'))),
    );
  };
  // `socket` exists, though the driver's types do not name it.
  const own = {
    ...(host && { host: [host.name], port: [host.port] }),
    connect_timeout: Math.ceil(timeoutMs / 1000),
    // Seconds; then ten tries, a second apart. Who only listens learns of a lost session by nothing else.
    keep_alive: 15,
    onclose: () => lose(),
    onnotify: options.onNotify,
    socket: async (parsed: DriverAddress): Promise<Socket> => {
      if (socket !== undefined || isLost) throw connectionError('CONNECTION_CLOSED', 'before the database answered');
      at ??= hostOf(parsed);
      socket = connectSocket(at);
      for (const event of ['end', 'error', 'close']) socket.once(event, () => lose());
      if (tls.use !== 'never') socket = await secureSocket(socket, at, tls);
      return socket;
    },
  };
  const sql = driver(url, options.applicationName, own as unknown as postgres.Options<Record<string, never>>);
  const close = (hasVanished = false): void => {
    lose(hasVanished);
    void sql.end({ timeout: 0 }).catch(() => {});
    // A server that is stopped does not close its side.
    setTimeout(() => socket?.destroy(), 1000).unref();
  };
  const abort = () => close();
  const stopWatch = watchSilence(
    {
      isBusy: running.isBusy,
      received: () => socket?.bytesRead ?? 0,
      isServerThere: async (limits) => at === undefined || (await isServerThere(at, limits)),
      onVanished: () => close(true),
    },
    options.silence ?? silenceLimits,
  );
  const run = async <Result>(work: (sql: Sql) => PromiseLike<Result>): Promise<Result> => {
    if (isLost) throw connectionError('CONNECTION_CLOSED', 'the session was lost');
    try {
      return await running.settle(() => work(sql));
    } catch (error) {
      // It has become a standby, or is about to be one: the next session is with the server that took its place.
      if (target !== 'any' && sqlState(error) === readOnlyTransaction) close();
      throw error;
    }
  };
  const late = setTimeout(() => running.failAll(noAnswer(timeoutMs)), timeoutMs);
  options.signal?.addEventListener('abort', abort);
  if (options.signal?.aborted) lose();
  try {
    assertTakesWrites(await run((q) => prepareSession(q, options.plansOnce === true)), target);
  } catch (error) {
    close();
    throw error;
  } finally {
    clearTimeout(late);
  }
  return { run, isLost: () => isLost, lost: lost.promise, close: abort };
}

/** What runs in a session: it is settled by the session's loss at the latest. */
function createRunning() {
  /** How to reject each. Anything left here longer would be kept for the session's whole life. */
  const running = new Set<(error: Error) => void>();
  return {
    isBusy: (): boolean => running.size > 0,
    failAll: (error: Error): void => {
      for (const fail of running) fail(error);
    },
    settle: async <Result>(work: () => PromiseLike<Result>): Promise<Result> => {
      const settled = Promise.withResolvers<Result>();
      running.add(settled.reject);
      try {
        work().then(settled.resolve, settled.reject);
        return await settled.promise;
      } finally {
        running.delete(settled.reject);
      }
    },
  };
}

/** @throws a connection error for a server that is not of the kind that the address asks for */
function assertTakesWrites(
  { isStandby, isReadOnly }: Awaited<ReturnType<typeof prepareSession>>,
  target: DatabaseAddress['target'],
): void {
  // A standby is read-only as well.
  if ((target === 'primary' && isStandby) || (target === 'read-write' && isReadOnly)) {
    throw connectionError('CONNECTION_NO_WRITES', `the database server is ${isStandby ? 'a standby' : 'read-only'}`);
  }
}

const readOnlyTransaction = '25006';

interface DriverAddress {
  readonly host: readonly string[];
  readonly port: readonly number[];
  readonly path: string | false | undefined;
}

/** What the driver makes of the environment. */
function hostOf({ host, port, path }: DriverAddress): DatabaseHost {
  const [name = 'localhost'] = host;
  const number = Number(port[0] ?? 5432);
  return { name: typeof path === 'string' && path !== '' ? path.slice(0, path.lastIndexOf('/')) : name, port: number };
}
