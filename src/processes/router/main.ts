/**
 * The router process: environment, key and certificate, listening sockets from the supervisor, health, drain.
 *
 *   read → SRP port → ready → (links are back, or held long enough) → public port → … SIGTERM … → drain → return
 *
 * Invariant: devices are let in only after the previously linked instances have had a chance to link again; until then
 * connections wait in the socket's queue, which outlives the process.
 */

import type { Server } from 'node:net';
import { Counter, type Registry } from 'prom-client';
import * as z from 'zod';
import { addressRangeShape } from '../../base/address-ranges.ts';
import { systemClock } from '../../base/clock.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { readRouterFile, routerFilePath, routerFolder } from '../../link/router-file.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { readEnvironment } from '../../process/environment.ts';
import { addGauges, createRegistry, startHealthServer } from '../../process/health.ts';
import { hostIdentity } from '../../process/host-identity.ts';
import { createLogger, type Logger } from '../../process/log/logger.ts';
import { aborted, openSupervision } from '../../process/supervision.ts';
import { ownFeatureNames, ownLinkVersions, ownRelease } from '../../registry/own-release.ts';
import { followCertificate } from './certificate-renewal.ts';
import { publicLimitsShape } from './public-limits.ts';
import { createRouter, type Router } from './router.ts';

const port = z.number().int().min(0).max(65535);

export const routerSettingsShape = z.object({
  /** SNI name of tunnels; without it CONNECT is accepted under any name. */
  tunnelHost: z.string().min(1).optional(),
  /** Where the process listens when no supervisor passes it sockets. */
  listenHost: z.string().min(1).optional(),
  publicPort: port.optional(),
  srpPort: port.optional(),
  /** How long requests and tunnels may go on after SIGTERM: less than the 10 s after which a supervisor kills. */
  drainMs: z.number().int().min(0).default(9000),
  /** How long devices wait at startup for the previous links. */
  holdMs: z.number().int().min(0).default(3000),
  /** How much of this process strangers may use up at the public port. */
  limits: publicLimitsShape.default({}),
  /** Balancers before the public port; the supervisor takes them from `config.json`. */
  balancers: z.array(addressRangeShape).default([]),
});

const socketMessage = z.object({ type: z.literal('socket'), name: z.enum(['public', 'srp']) });
type SocketName = z.output<typeof socketMessage>['name'];
const socketTimeoutMs = 10_000;

/**
 * Runs until SIGTERM, SIGINT or a while without a supervisor; returns after the drain.
 * @throws BrambleError ERR_ENVIRONMENT, ERR_ROUTER_FILE, ERR_ROUTER_STATE, ERR_ROUTER_SOCKET
 */
export async function runRouter(): Promise<void> {
  const sockets = receiveSockets();
  const environment = readEnvironment(process.env, routerSettingsShape);
  const { home, name, settings } = environment;
  const log = createLogger({ kind: 'router', name, release: ownRelease, level: environment.logLevel });
  const own = { kind: 'router', release: ownRelease, databaseUrl: undefined, log, sockets: sockets.descriptors };
  const stop = openSupervision({ ...environment, ...own });
  const registry = createRegistry({ name, kind: 'router', release: ownRelease });
  const answers = new Counter({
    name: 'bramble_router_answers_total',
    help: 'Answers to devices, by status.',
    labelNames: ['status'],
    registers: [registry],
  });
  const limited = new Counter({
    name: 'bramble_router_limited_total',
    help: 'Connections closed and requests refused at the public port because of limits or misbehaviour, by reason.',
    labelNames: ['reason'],
    registers: [registry],
  });
  const filePath = routerFilePath(home, name);
  const file = await readRouterFile(filePath);
  const router = await createRouter({
    ...file,
    platforms: registeredPlatforms,
    component: {
      ...(await hostIdentity(environment.host)),
      name,
      release: ownRelease,
      linkVersions: [...ownLinkVersions],
      features: [...ownFeatureNames],
    },
    statePath: `${routerFolder(home, name)}/state.json`,
    tunnelHost: settings.tunnelHost,
    log,
    onAnswer: (status) => answers.inc({ status }),
    limits: settings.limits,
    balancers: settings.balancers,
    onLimit: (reason) => limited.inc({ reason }),
  });
  addRouterGauges(registry, router);
  const ready = () => {
    if (stop.signal.aborted) return 'it is stopping';
    if (!router.publicServer.listening) return 'waiting for the links of the instances';
    return router.links.servers().length > 0 ? null : 'no server instance is linked';
  };
  const health = await startHealthServer({ registry, ready });
  const ending = new AbortController();
  const following = followCertificate({
    ...{ path: filePath, file, clock: systemClock, log, signal: ending.signal },
    renew: (renewed) => router.renewCertificate(renewed),
  });
  try {
    const at = { host: settings.listenHost ?? '127.0.0.1' };
    await listen(router.srpServer, 'srp', settings.srpPort, at.host, sockets, log);
    router.register(health.url);
    // Announced before the public port: the replaced router drains first, and its diallers connect here.
    stop.announceReady({ url: health.url });
    await Promise.race([router.formerLinks, delay(settings.holdMs), aborted(stop.signal)]);
    if (!stop.signal.aborted) {
      await listen(router.publicServer, 'public', settings.publicPort, at.host, sockets, log);
      const ports = { public: router.publicServer.address(), srp: router.srpServer.address() };
      log.info({ url: health.url, ports }, 'ready');
      stop.tellStarter({ type: 'listening', ...ports });
    }
    await aborted(stop.signal);
    log.info({ reason: messageOf(stop.signal.reason), tunnels: router.tunnelsOpen }, 'draining');
    await router.drain(settings.drainMs);
  } finally {
    ending.abort();
    await following;
    sockets.release();
    await health.close();
    await stop.release();
  }
}

interface HandedSockets {
  take(name: SocketName): Promise<unknown>;
  /** Closes the received sockets. One that is being listened on stays open. */
  descriptors(): ReadonlyMap<SocketName, number>;
  release(): void;
}

/** Sockets can arrive before they are asked for, and in any order. */
function receiveSockets(): HandedSockets {
  const settle = new Map<SocketName, (handle: unknown) => void>();
  const came = new Map<SocketName, number>();
  const taken = new Map<SocketName, Promise<unknown>>();
  for (const name of ['public', 'srp'] as const) {
    taken.set(name, new Promise((resolve) => settle.set(name, resolve)));
  }
  const onMessage = (message: unknown, handle: unknown) => {
    const parsed = socketMessage.safeParse(message);
    if (!parsed.success) return;
    const descriptor = (handle as { fd?: unknown } | null)?.fd;
    if (typeof descriptor === 'number') came.set(parsed.data.name, descriptor);
    settle.get(parsed.data.name)?.(handle);
  };
  process.on('message', onMessage);
  return {
    take: async (name) => await taken.get(name),
    descriptors: () => came,
    release: () => process.off('message', onMessage),
  };
}

/**
 * @throws BrambleError ERR_ROUTER_SOCKET when there is neither an inherited socket nor a port, or listening on it
 * fails.
 */
async function listen(
  server: Server,
  name: SocketName,
  ownPort: number | undefined,
  host: string,
  sockets: HandedSockets,
  log: Logger,
): Promise<void> {
  try {
    const handle = ownPort === undefined ? await handed(name, sockets) : { port: ownPort, host };
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(handle, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => log.error({ name, error: messageOf(error) }, 'a connection was not accepted'));
  } catch (cause) {
    throw new BrambleError(
      'ERR_ROUTER_SOCKET',
      `The router cannot listen on its ${name} port (${messageOf(cause)}). The supervisor passes the socket to it: ` +
        'run the router under the supervisor, or set publicPort and srpPort.',
      { cause },
    );
  }
}

async function handed(name: SocketName, sockets: HandedSockets): Promise<object> {
  if (!process.connected) throw new Error('there is no supervisor');
  const late = delay(socketTimeoutMs).then(() => null);
  const handle = await Promise.race([sockets.take(name), late]);
  if (typeof handle !== 'object' || handle === null) throw new Error('the supervisor sent no socket');
  return handle;
}

function delay(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs).unref();
  });
}

function addRouterGauges(registry: Registry, router: Router): void {
  addGauges(registry, {
    bramble_router_links: { help: 'SRP links in service.', value: () => router.links.all().length },
    bramble_router_links_stalled: {
      help: 'Links whose other end does not answer pings at the moment.',
      value: () => router.links.all().filter(({ stalled }) => stalled).length,
    },
    bramble_router_stalled_refusals: {
      help: 'Requests answered 503 because the link of their owner was stalled.',
      value: () => router.links.refusedStalled,
    },
    bramble_router_srp_newcomers: {
      help: 'Connections at the SRP port that are not admitted yet.',
      value: () => router.newcomers.unproven + router.newcomers.proven,
    },
    bramble_router_srp_newcomers_cut: {
      help: 'Connections at the SRP port that were closed because too many had sent nothing.',
      value: () => router.newcomers.cut,
    },
    bramble_router_tunnels_open: { help: 'Open tunnels.', value: () => router.tunnelsOpen },
    bramble_router_connections: { help: 'Open connections at the public port.', value: () => router.connections.size },
    bramble_router_connections_proven: {
      help: 'Of them, those that carried a proven identity.',
      value: () => router.connections.proven,
    },
    bramble_router_requests_under_way: { help: 'Requests not yet answered.', value: () => router.requestsUnderWay },
    bramble_router_outcomes_waiting: {
      help: 'Request outcomes that no instance has acknowledged yet.',
      value: () => router.outcomes.waiting,
    },
    bramble_router_outcomes_given_up: {
      help: 'Request outcomes that no instance acknowledged in time.',
      value: () => router.outcomes.givenUp,
    },
    bramble_router_routes: { help: 'Cached routes to owners.', value: () => router.routes.size },
    bramble_router_route_batches: {
      help: 'Batches of routing questions sent to instances.',
      value: () => router.routes.batches,
    },
  });
}
