/**
 * The server instance: devices of its accounts over the SRP link (and on its loopback address, possibly behind a
 * trusted proxy), policy service, request samples. Only this file reads its environment and builds its parts.
 */
import { join } from 'node:path';
import * as z from 'zod';
import { createActivation } from '../../activation/activation.ts';
import { consumeActivationPassword } from '../../activation/activation-password.ts';
import { createRenewalOrders } from '../../activation/renewal-profiles.ts';
import { createScepService } from '../../activation/scep-service.ts';
import { systemClock } from '../../base/clock.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import type { InstanceId } from '../../base/ids.ts';
import { type ComponentContext, componentProcess, type Work } from '../../component/component-process.ts';
import { dialRouters, keepCredentialFresh } from '../../component/srp-links.ts';
import { type Database, openDatabase, serviceIdleSeconds } from '../../database/connection.ts';
import { readMasterKeys } from '../../database/sealed-value.ts';
import { oweDeliveries } from '../../deliveries/owe-deliveries.ts';
import { createPolicyService } from '../../deliveries/policy-service.ts';
import { connectLanes, createConnectBatcher } from '../../devices/connect-batch.ts';
import { connectDevices } from '../../devices/connect-statement.ts';
import { answerRoutes } from '../../devices/route-store.ts';
import { loadInstanceAuthorities, loadRouteSigner } from '../../domain/authorities.ts';
import { readDomain } from '../../domain/domain.ts';
import { credentialRenewal } from '../../instances/credential-renewal.ts';
import { findInstance } from '../../instances/instances.ts';
import type { LinkHandlers } from '../../link/link-endpoint.ts';
import { signRoutes } from '../../link/signed-envelope.ts';
import { createMeasurementUpkeep } from '../../measurements/measurement-upkeep.ts';
import { countOutcomes } from '../../measurements/outcome-store.ts';
import { createRequestSamples } from '../../measurements/request-samples.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { addGauges, healthHandler } from '../../process/health.ts';
import { type LoopbackListener, listenOnLoopback } from '../../process/loopback-listener.ts';
import { createCertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import { registerRouter } from '../../registry/components.ts';
import { isFeatureActive } from '../../registry/features.ts';
import { ownFeatures } from '../../registry/own-release.ts';
import { createDeviceHandler, type DeviceHandlerOptions } from './device-handler.ts';
import { createDeviceNotices } from './device-notices.ts';
import { createEnrolmentUpkeep } from './enrolment-upkeep.ts';
import { createFollowingWakes } from './following-wakes.ts';
import { createIdentityUse } from './identity-use.ts';
import { createPresentAuthorities } from './present-authorities.ts';
import { addActivationMetrics, createRequestMetrics } from './request-metrics.ts';
import { createRevocationFeed } from './revocation-feed.ts';

export const serverSettings = z.object({
  /** Of this instance. */
  srpIdentifier: z.string().regex(/^S\d{8}$/),
  /** Loopback port; 0 means any free one. */
  port: z.number().int().min(0).max(65_535).default(0),
  /** A proxy on this host may name the device's certificate in the `client-cert` header (RFC 9440). */
  trustLoopbackProxy: z.boolean().default(false),
});
type Settings = z.output<typeof serverSettings>;

const flushEveryMs = 1000;
/** Kept warm for the first requests after a quiet time; more are opened on demand. */
const connectSessionsKept = 2;
/** From then on the database reuses its plan of the connect statement. */
const executionsUntilPlanned = 6;

/** Runs until asked to end. */
export async function runServer(): Promise<void> {
  // Device requests may arrive before the work is set up: the loopback listener answers them 503 until then.
  let serveDevice: ReturnType<typeof createDeviceHandler> | undefined;
  let connectDb: Database | undefined;
  try {
    await componentProcess({
      kind: 'server',
      settings: serverSettings,
      maxConnections: 8,
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
    keep: connectSessionsKept,
  });
}

async function listenForDevices(
  { registry, ready, environment, log, fail }: ComponentContext<Settings>,
  serveDevice: () => ReturnType<typeof createDeviceHandler> | undefined,
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
  const domain = await readDomain(db);
  const instance = await findInstance(db, environment.settings.srpIdentifier);
  if (!instance) {
    const message = `No instance has the SRP identifier ${environment.settings.srpIdentifier}.`;
    throw new BrambleError('ERR_NOT_FOUND', `${message} Issue one with \`bramble instance add\`.`);
  }
  const instanceId: InstanceId = instance.id;
  const keys = await readMasterKeys(join(environment.home, 'keys', 'master.json'));
  const authorities = await loadInstanceAuthorities(db, keys);
  const presentAuthorities = createPresentAuthorities({ db, keys, authorities, clock: systemClock, log });
  const samples = createRequestSamples(instanceId);
  const notices = createDeviceNotices({ db, log, clock: systemClock });
  const identityUse = createIdentityUse({ db, instanceId, features: ownFeatures, clock: systemClock });
  await warmUp(connectDb, instanceId);
  const background = new AbortController();
  const running: Promise<unknown>[] = [];

  let renews = false;
  const renewalActive = async () => {
    // Once active it stays so.
    renews ||= await isFeatureActive(db, ownFeatures, 'device-identity-renewal');
    return renews;
  };
  const platforms = registeredPlatforms;
  const handlerOptions: DeviceHandlerOptions = {
    db,
    platforms,
    instanceId,
    log,
    activation: createActivation({
      ...{ db, instanceId, platforms },
      isFeatureActive: (feature) => isFeatureActive(db, ownFeatures, feature),
      domain: () => readDomain(db),
      authorities: presentAuthorities,
    }),
    scep: createScepService({
      db,
      instanceId,
      authorities,
      registrationActive: () => isFeatureActive(db, ownFeatures, 'scep-registration-authority'),
      renewalActive,
    }),
    announcements: {
      db,
      instanceId,
      keys,
      wakeChannel: async (tx) => (await readDomain(tx)).pushTopic,
      onActivated: async (tx, device) => {
        await consumeActivationPassword(tx, { deviceId: device.deviceId, instanceId });
        await oweDeliveries(tx, { deviceIds: [device.deviceId], cause: 'activation', budgeted: false });
      },
      onReturned: async (tx, device) => {
        await oweDeliveries(tx, { deviceIds: [device.deviceId], cause: 'activation', budgeted: true });
      },
    },
    connects: createConnectBatcher({ send: (requests) => connectDevices(connectDb, instanceId, requests) }),
    samples,
    notices,
    clock: systemClock,
    identityUse,
    certificateKeys: createCertificateKeys(),
    deviceAuthorityDer: authorities.device.certificateDer,
    onAnswer: createRequestMetrics(registry),
  };
  addActivationMetrics(registry, handlerOptions.activation);
  const serveDevice = createDeviceHandler(handlerOptions);

  const { signer, name: signerName } = await loadRouteSigner(db, keys);
  const signerCertificate = signerName === 'route-signer' ? signer.certificateDer : undefined;
  const sign = (value: unknown) => signRoutes(value, signer.privateKeyPem, signerCertificate);
  const feed = createRevocationFeed(db);
  running.push(
    feed.run(background.signal, (error) =>
      log.warn({ reason: messageOf(error) }, 'the revocation list could not be read'),
    ),
  );
  const handlers: LinkHandlers = {
    request: (request, response) => serveDevice(request, response, 'link'),
    routes: { answer: (question) => answerRoutes(db, question), sign },
    control: (push, signal) => feed.follow(push, signal),
    router: async ({ links, tunnelsOpen, ...router }, key) => {
      await registerRouter(db, { ...router, key }, { links, tunnelsOpen });
    },
    outcomes: async (report, key) => void (await countOutcomes(db, report, key)),
  };
  const identifier = environment.settings.srpIdentifier;
  const links = await dialRouters({ context, identifier, handlers });
  const renewal = credentialRenewal(db);
  running.push(keepCredentialFresh({ context, identifier, ...renewal, signal: background.signal }));

  const wakes = createFollowingWakes({ db, keys, platforms, log });
  running.push(wakes.run(background.signal));
  const policyService = createPolicyService({
    db,
    instance: { id: instanceId, srpIdentifier: instance.srpIdentifier, name: instance.name },
    release: context.identity.release,
    domain,
    platforms,
    wakeClients: wakes.clients,
    identityRenewal: {
      isActive: renewalActive,
      orders: createRenewalOrders({
        platforms,
        instanceId,
        domain: () => readDomain(db),
        authorities: presentAuthorities,
      }),
    },
    clock: systemClock,
    log,
  });
  running.push(policyService.run(background.signal));
  running.push(
    createEnrolmentUpkeep({ announcements: handlerOptions.announcements, clock: systemClock, log }).run(
      background.signal,
    ),
  );
  running.push(createMeasurementUpkeep({ db, clock: systemClock, log }).run(background.signal));
  const flushing = setInterval(() => void flush(context, [samples, identityUse]), flushEveryMs);
  addGauges(registry, {
    bramble_links_up: {
      help: 'SRP links accepted by a router.',
      value: () => links.links.filter((link) => link.up).length,
    },
  });

  const work: Work = {
    detail: () => ({ links: links.detail(), policyService: policyService.counts() }),
    ready: () => links.ready(),
    serving: (signal) => links.serving(signal),
    drain: async () => {
      await links.close();
      background.abort();
      clearInterval(flushing);
      await Promise.all(running);
      await notices.settled();
      await flush(context, [samples, identityUse]);
      await wakes.close();
    },
  };
  return { serveDevice, work };
}

async function flush(
  context: ComponentContext<Settings>,
  gathered: readonly { flush(db: Database): Promise<void> }[],
): Promise<void> {
  for (const each of gathered) {
    await each.flush(context.db).catch((error: unknown) => {
      context.log.warn({ reason: messageOf(error) }, 'collected request samples could not be written');
    });
  }
}

/** Prepares and plans the connect statement on every connection before a device waits for it. */
async function warmUp(db: Database, instanceId: InstanceId): Promise<void> {
  for (let execution = 0; execution < executionsUntilPlanned; execution++) {
    await Promise.all(Array.from({ length: connectLanes }, () => connectDevices(db, instanceId, [])));
  }
}
