/**
 * The server instance: devices of its accounts over the SRP link (and on its loopback address, possibly behind a
 * trusted proxy), policy service, request samples. Only this file reads its environment and puts its parts together.
 */
import * as z from 'zod';
import { createRenewalOrders } from '../../activation/renewal-orders.ts';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { InstanceId } from '../../base/ids.ts';
import { keepCredential } from '../../component/authority-following.ts';
import { type BackgroundWork, createBackgroundWork } from '../../component/background-work.ts';
import { type ComponentContext, componentProcess, type Work } from '../../component/component-process.ts';
import { dialRouters, type SrpLinks } from '../../component/srp-links.ts';
import { type Database, openDatabase, serviceIdleSeconds } from '../../database/connection.ts';
import { createPolicyService, type PolicyService } from '../../deliveries/policy-service.ts';
import { connectLanes } from '../../devices/connect-batch.ts';
import { connectDevices } from '../../devices/connect-statement.ts';
import { answerRoutes } from '../../devices/route-store.ts';
import { readDomain } from '../../domain/domain.ts';
import { ensureCredential } from '../../hosts/first-credential.ts';
import { credentialRenewal } from '../../instances/credential-renewal.ts';
import type { LinkHandlers } from '../../link/link-endpoint.ts';
import { createMeasurementUpkeep } from '../../measurements/measurement-upkeep.ts';
import { countOutcomes } from '../../measurements/outcome-store.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { addGauges, healthHandler } from '../../process/health.ts';
import { type LoopbackListener, listenOnLoopback } from '../../process/loopback-listener.ts';
import { registerRouter } from '../../registry/components.ts';
import { poolSize } from '../../registry/database-sessions.ts';
import { successorServes } from '../../registry/successor.ts';
import { isFormerRouter } from '../../routers/router-addresses.ts';
import { createDeviceService, type DeviceService } from './device-service.ts';
import { createEnrolmentUpkeep } from './enrolment-upkeep.ts';
import { createFollowingWakes, type FollowingWakes } from './following-wakes.ts';
import { type InstanceFacts, readInstanceFacts } from './instance-facts.ts';
import { createRevocationFeed } from './revocation-feed.ts';
import { createRouteSigning, type RouteSigning } from './route-signing.ts';

export const serverSettings = z.object({
  /** Of this instance. */
  srpIdentifier: z.string().regex(/^S\d{8}$/),
  /** Loopback port; 0 means any free one. */
  port: z.number().int().min(0).max(65_535).default(0),
  /** A proxy on this host may name the device's certificate in the `client-cert` header (RFC 9440). */
  trustLoopbackProxy: z.boolean().default(false),
});
type Settings = z.output<typeof serverSettings>;

const platforms = registeredPlatforms;

const flushEveryMs = 1000;
/** Kept warm for the first requests after a quiet time; more are opened on demand. */
const keptConnectSessions = 2;
/** From then on the database reuses its plan of the connect statement. */
const executionsUntilPlanned = 6;

/** Runs until asked to end. */
export async function runServer(): Promise<void> {
  // Device requests may arrive before the work is set up: the loopback listener answers them 503 until then.
  let serveDevice: DeviceService['serve'] | undefined;
  let connectDb: Database | undefined;
  try {
    await componentProcess({
      kind: 'server',
      settings: serverSettings,
      maxConnections: poolSize.server,
      listen: (context) => listenForDevices(context, () => serveDevice),
      work: async (context) => {
        connectDb = openConnectDatabase(context);
        const parts = await buildInstance(context, connectDb);
        serveDevice = parts.serveDevice;
        return parts.work;
      },
    });
  } finally {
    // Closed after the loopback listener, which serves until the end.
    await connectDb?.end({ timeout: 5 });
  }
}

/** Connects use separate database connections, so no background work delays them. */
function openConnectDatabase({ databaseUrl, databaseAccess }: ComponentContext<Settings>): Database {
  return openDatabase(databaseUrl, {
    ...databaseAccess,
    max: connectLanes,
    // Planning a connect takes longer than executing it.
    plansOnce: true,
    idleTimeoutSeconds: serviceIdleSeconds,
    keep: keptConnectSessions,
  });
}

async function listenForDevices(
  { registry, ready, environment, log, fail }: ComponentContext<Settings>,
  serveDevice: () => DeviceService['serve'] | undefined,
): Promise<LoopbackListener> {
  const health = healthHandler({ registry, ready });
  const { port, trustLoopbackProxy } = environment.settings;
  return await listenOnLoopback({
    port,
    handler: (request, response) => {
      if (health(request, response)) return;
      const serve = serveDevice();
      if (serve) serve(request, response, trustLoopbackProxy ? 'proxy' : 'loopback');
      else response.writeHead(503, { 'retry-after': '1' }).end();
    },
    onBusy: () =>
      log.warn({ port }, 'the loopback port is in use, probably by the process that this one replaces; waiting for it'),
    onFailed: fail,
  });
}

async function buildInstance(context: ComponentContext<Settings>, connectDb: Database) {
  const { db, log, environment, registry } = context;
  const { srpIdentifier } = environment.settings;
  await ensureCredential(
    { db, home: environment.home, host: context.identity.host, identifier: srpIdentifier },
    context.stopping,
  );
  const facts = await readInstanceFacts(context, srpIdentifier);
  await warmUp(connectDb, facts.instance.id);
  const devices = createDeviceService({ db, connectDb, facts, platforms, registry, log });
  const background = createBackgroundWork(context.fail);
  const routeSigning = await createRouteSigning({ db, keys: facts.keys, log });
  const links = await openLinks(context, { devices, background, routeSigning });
  const wakes = createFollowingWakes({ db, keys: facts.keys, platforms, log });
  const policyService = openPolicyService(context, facts, wakes);
  const enrolments = createEnrolmentUpkeep({ announcements: devices.announcements, clock: systemClock, log });
  const measurements = createMeasurementUpkeep({ db, clock: systemClock, log });
  for (const work of [facts.keys, routeSigning, wakes, policyService, enrolments, measurements])
    background.start((signal) => work.run(signal));
  background.every(flushEveryMs, () => devices.flush());
  const work: Work = {
    detail: () => ({
      links: links.detail(),
      authorities: links.authorities(),
      policyService: policyService.counts(),
      ...facts.keys.detail(),
      ...routeSigning.detail(),
    }),
    ready: () => links.ready(),
    serving: (signal) => links.serving(signal),
    drain: async () => {
      await links.close();
      try {
        await background.end();
      } finally {
        await devices.settled();
        await devices.flush();
        await wakes.close();
      }
    },
  };
  return { serveDevice: devices.serve, work };
}

/** Dials the routers, and answers what they ask on their links. */
async function openLinks(
  context: ComponentContext<Settings>,
  parts: { devices: DeviceService; background: BackgroundWork; routeSigning: RouteSigning },
): Promise<SrpLinks> {
  const { db, log, registry, environment } = context;
  const { devices, background, routeSigning } = parts;
  const feed = createRevocationFeed(db);
  background.start((signal) =>
    feed.run(signal, (error) => log.warn({ reason: messageOf(error) }, 'the revocation list could not be read')),
  );
  const handlers: LinkHandlers = {
    request: (request, response) => devices.serve(request, response, 'link'),
    routes: {
      answer: (question) => answerRoutes(db, question),
      sign: routeSigning.sign,
    },
    control: (push, signal) => feed.follow(push, signal),
    router: async ({ links, tunnelsOpen, authorities, ...router }, key) => {
      const trust = authorities === undefined ? {} : { authorities };
      await registerRouter(db, { ...router, key }, { links, tunnelsOpen, ...trust }, isFormerRouter);
    },
    outcomes: async (report, key) => void (await countOutcomes(db, report, key)),
  };
  const identifier = environment.settings.srpIdentifier;
  const links = await dialRouters({ context, identifier, handlers });
  background.start((signal) => links.follow(signal));
  background.start((signal) => keepCredential({ context, identifier, links, ...credentialRenewal(db), signal }));
  addGauges(registry, {
    bramble_links_up: {
      help: 'SRP links accepted by a router.',
      value: () => links.links.filter((link) => link.up).length,
    },
  });
  return links;
}

function openPolicyService(
  { db, log, identity }: ComponentContext<Settings>,
  { instance, domain, presentAuthorities, renewalActive }: InstanceFacts,
  wakes: FollowingWakes,
): PolicyService {
  return createPolicyService({
    ...{ db, domain, platforms, log },
    instance: { id: instance.id, srpIdentifier: instance.srpIdentifier, name: instance.name },
    release: identity.release,
    isReplaced: (q) => successorServes(q, identity),
    wakeClients: wakes.clients,
    identityRenewal: {
      isActive: renewalActive,
      orders: createRenewalOrders({
        platforms,
        instanceId: instance.id,
        domain: () => readDomain(db),
        authorities: presentAuthorities,
      }),
    },
    clock: systemClock,
  });
}

/** Prepares and plans the connect statement on every connection before a device waits for it. */
async function warmUp(db: Database, instanceId: InstanceId): Promise<void> {
  for (let execution = 0; execution < executionsUntilPlanned; execution++) {
    await Promise.all(Array.from({ length: connectLanes }, () => connectDevices(db, instanceId, [])));
  }
}
