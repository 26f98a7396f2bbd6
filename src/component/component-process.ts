/**
 * The life of a component that works on the database: environment, logger, pool, listener, registration, work, drain.
 *
 *   read environment → check the declared range → listen → register → work → announce ready
 *     … until SIGTERM, SIGINT, a while without a supervisor, or the loss of the registration …
 *   → drain the work → stop the registration → close the listener → close the pool → return
 *
 * Invariants: nothing works before it is registered, and a component that may not run (release, schema) never listens.
 * None ends because of its database: a starting one waits for it indefinitely, and a running one continues without it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Registry } from 'prom-client';
import type * as z from 'zod';
import { BrambleError, messageOf } from '../base/errors.ts';
import {
  applicationName,
  type Database,
  type DatabaseOptions,
  openDatabase,
  serviceIdleSeconds,
  servicePatienceMs,
} from '../database/connection.ts';
import { isUnreachable } from '../database/connection-loss.ts';
import { assertOwnSessions } from '../database/pooler-check.ts';
import { type ProcessEnvironment, readEnvironment, requireDatabaseUrl } from '../process/environment.ts';
import { createRegistry, type Readiness, startHealthServer } from '../process/health.ts';
import { hostIdentity } from '../process/host-identity.ts';
import { createLogger, type Logger } from '../process/log/logger.ts';
import { aborted, openSupervision, type Supervision } from '../process/supervision.ts';
import { type WantedSockets, wantedSockets } from '../process/wanted-sockets.ts';
import type { ComponentDetail } from '../registry/component-detail.ts';
import { assertCompatible, type ComponentIdentity, type ComponentKind } from '../registry/components.ts';
import { ownCompatibility, ownFeatureNames, ownLinkVersions, ownRelease } from '../registry/own-release.ts';
import { type Registration, registerAndKeep } from '../registry/registration.ts';

const waitMs = 500;

export interface ComponentContext<Settings> {
  environment: ProcessEnvironment<Settings>;
  log: Logger;
  db: Database;
  databaseUrl: string;
  /** The name and patience of an additional pool beside `db`. */
  databaseAccess: Pick<DatabaseOptions, 'applicationName' | 'patienceMs' | 'onUnreachable'>;
  registry: Registry;
  /** Listening sockets that the supervisor hands over. */
  sockets: WantedSockets;
  /** The registered facts; `loopbackUrl` is set once it listens. */
  identity: ComponentIdentity;
  /** Aborted when the process is to end: stop taking on new work. */
  stopping: AbortSignal;
  /** Ends the process with this error after draining. */
  fail: (error: unknown) => void;
  /** Registration and work together; for the /readyz of the component's own listener. */
  ready: Readiness;
}

export interface Listening {
  /** `http://127.0.0.1:port` with /healthz, /readyz and /metrics. */
  url: string;
  close(): Promise<void>;
}

export interface Work {
  /** Shown beside the lease. */
  detail?: () => ComponentDetail;
  /** `null` when ready, otherwise why not. */
  ready?: Readiness;
  /**
   * Resolves once devices reach this process. If set, the component can be replaced by a successor of the same name and
   * another release: it keeps running beside it until asked to end.
   */
  serving?: (signal: AbortSignal) => Promise<void>;
  /** Ends the work in good order; the process waits at most `drainMs` for it. */
  drain(): Promise<void>;
}

interface ComponentOptions<Schema extends z.ZodType> {
  kind: ComponentKind;
  /** Shape of BRAMBLE_SETTINGS. */
  settings: Schema;
  /** Its own listener with the health paths; without one a health server on an ephemeral loopback port is started. */
  listen?: (context: ComponentContext<z.output<Schema>>) => Promise<Listening>;
  /** Starts the work, after registration. */
  work: (context: ComponentContext<z.output<Schema>>) => Promise<Work>;
  /** Maximum connections of the pool, default 8. */
  maxConnections?: number;
  /** Default 15000. */
  drainMs?: number;
}

/** A component from its environment to its end. */
interface Life<Settings> {
  readonly context: ComponentContext<Settings>;
  readonly stop: Supervision;
  /** What stands so far, the last first. */
  readonly closing: { what: string; close: () => Promise<unknown> }[];
  registration?: Registration;
  work?: Work;
  serving: boolean;
  /** Why it ends, if that is a failure; recorded with the registration. */
  failure?: string;
}

/**
 * Runs the component until it is asked to end; returns after an orderly drain.
 * @throws BrambleError why it may not run or had to end: ERR_ENVIRONMENT, ERR_RELEASE_…, ERR_SCHEMA_…,
 *   ERR_COMPONENT_NAME_TAKEN, ERR_COMPONENT_GONE, or what its work failed with.
 */
export async function componentProcess<Schema extends z.ZodType>(options: ComponentOptions<Schema>): Promise<void> {
  const life = await prepare(options);
  const { stop, context } = life;
  const { log } = context;
  try {
    await start(life, options);
    await aborted(stop.signal);
    log.info({ reason: messageOf(stop.signal.reason) }, 'draining');
    if (stop.signal.reason instanceof Error) life.failure = messageOf(stop.signal.reason);
  } catch (error) {
    life.failure = messageOf(error);
    // Asked to end before it was working: the interruption is not a failure.
    if (life.work !== undefined || !stop.signal.aborted) throw error;
    log.info({ reason: messageOf(stop.signal.reason) }, 'ended before it was ready');
  } finally {
    await closeAll(life.closing, options.drainMs ?? 15_000, log);
    context.sockets.release();
    await stop.release();
  }
  if (stop.signal.reason instanceof Error) throw stop.signal.reason;
}

/** Reads the environment and opens what needs no database yet. */
async function prepare<Schema extends z.ZodType>(options: ComponentOptions<Schema>): Promise<Life<z.output<Schema>>> {
  const { kind } = options;
  const environment = readEnvironment(process.env, options.settings);
  const databaseUrl = requireDatabaseUrl(environment);
  const { name } = environment;
  const identity: ComponentIdentity = {
    ...(await hostIdentity(environment.host)),
    ...{ name, kind, release: ownRelease },
    linkVersions: ownLinkVersions,
    features: ownFeatureNames,
    loopbackUrl: null,
  };
  const log = createLogger({ kind, name, release: ownRelease, level: environment.logLevel });
  const sockets = wantedSockets(environment);
  const own = { kind, release: ownRelease, log, sockets: sockets.descriptors, onAdopted: sockets.adoptedBy };
  const stop = openSupervision({ ...environment, ...own });
  const databaseAccess = {
    applicationName: applicationName(kind, identity.name, identity.host, identity.processId),
    patienceMs: () => {
      if (stop.signal.aborted) return 0;
      return life.work ? servicePatienceMs : Number.POSITIVE_INFINITY;
    },
    onUnreachable: (error: unknown) =>
      log.warn({ reason: messageOf(error) }, 'the database cannot be reached; waiting for it'),
  };
  const db = openDatabase(databaseUrl, {
    ...databaseAccess,
    max: options.maxConnections ?? 8,
    idleTimeoutSeconds: serviceIdleSeconds,
  });
  const life: Life<z.output<Schema>> = {
    context: {
      ...{ environment, log, db, databaseUrl, databaseAccess, identity, sockets },
      registry: createRegistry({ name, kind, release: ownRelease }),
      stopping: stop.signal,
      fail: stop.request,
      ready: () => readiness(life, stop.signal),
    },
    stop,
    closing: [{ what: 'database', close: () => db.end({ timeout: 5 }) }],
    serving: false,
  };
  return life;
}

/** Listens, registers and works; each of them is closed again however far it comes. */
async function start<Schema extends z.ZodType>(
  life: Life<z.output<Schema>>,
  { listen = startHealthServer, work: startWork }: ComponentOptions<Schema>,
): Promise<void> {
  const { context, stop, closing } = life;
  const { db, log, identity, databaseUrl, databaseAccess } = context;
  await waitForDatabase(databaseUrl, databaseAccess, stop.signal);
  await assertCompatible(db, identity, ownCompatibility);
  const listening = await listen(context);
  closing.unshift({ what: 'listener', close: () => listening.close() });
  identity.loopbackUrl = listening.url;
  const registration = await registerAndKeep({
    db,
    component: identity,
    compatibility: ownCompatibility,
    detail: () => ({
      ...life.work?.detail?.(),
      ...(life.work?.serving === undefined ? {} : { serving: life.serving }),
    }),
    log,
    onGone: stop.request,
    isSucceeded: () => life.work?.serving !== undefined,
  });
  life.registration = registration;
  closing.unshift({ what: 'registration', close: () => registration.stop(life.failure) });
  const work = await startWork(context);
  life.work = work;
  closing.unshift({ what: 'work', close: () => work.drain() });
  log.info({ url: listening.url }, 'ready');
  stop.announceReady({ url: listening.url, yields: work.serving !== undefined });
  const announceServing = () => {
    life.serving = true;
    stop.announceServing();
  };
  void work.serving?.(stop.signal).then(announceServing, () => undefined);
}

/** Until the database answers, or the process is to end. @throws BrambleError ERR_DATABASE_POOLER, and what does not pass */
async function waitForDatabase(
  url: string,
  { applicationName, onUnreachable }: ComponentContext<unknown>['databaseAccess'],
  stopping: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      return await assertOwnSessions(url, { applicationName, signal: stopping });
    } catch (error) {
      if (!isUnreachable(error) || stopping.aborted) throw error;
      onUnreachable?.(error);
      await delay(waitMs, undefined, { signal: stopping }).catch(() => {});
    }
  }
}

async function readiness({ registration, work }: Pick<Life<unknown>, 'registration' | 'work'>, stopping: AbortSignal) {
  if (stopping.aborted) return 'it is stopping';
  if (!registration || !work) return 'it is starting';
  return registration.readiness() ?? (await work.ready?.()) ?? null;
}

/** Closes in order; one that fails or hangs is logged and does not keep the others from closing. */
async function closeAll(
  closing: readonly { what: string; close: () => Promise<unknown> }[],
  drainMs: number,
  log: Logger,
): Promise<void> {
  for (const { what, close } of closing) {
    const deadline = AbortSignal.timeout(drainMs);
    const late = aborted(deadline).then(() => {
      throw new BrambleError('ERR_DRAIN_TIMEOUT', `${what} did not end within ${drainMs} ms; continuing without it.`);
    });
    try {
      await Promise.race([close(), late]);
    } catch (error) {
      log.error({ error: messageOf(error), what }, 'not closed cleanly');
    }
  }
}
