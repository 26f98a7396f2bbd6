/**
 * All that an instance does for devices that ask it: activation, identities, announcements, commands and their answers,
 * behind one request handler. Invariant: what was counted on the way is written by {@link DeviceService.flush}, and a
 * count that cannot be written now is kept for the next time.
 */
import type { Registry } from 'prom-client';
import { createActivation } from '../../activation/activation.ts';
import { consumeActivationPassword } from '../../activation/activation-password.ts';
import { trustedIssuers } from '../../activation/identity-issuer.ts';
import { createScepService } from '../../activation/scep-service.ts';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Database } from '../../database/connection.ts';
import { oweDeliveries } from '../../deliveries/owe-deliveries.ts';
import type { AnnouncementOptions } from '../../devices/announcements.ts';
import { createConnectBatcher } from '../../devices/connect-batch.ts';
import { connectDevices } from '../../devices/connect-statement.ts';
import { readDomain } from '../../domain/domain.ts';
import { createRequestSamples } from '../../measurements/request-samples.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Logger } from '../../process/log/logger.ts';
import { createCertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import { isFeatureActive } from '../../registry/features.ts';
import { ownFeatures } from '../../registry/own-release.ts';
import { createDeviceHandler } from './device-handler.ts';
import { createDeviceNotices } from './device-notices.ts';
import { createIdentityUse } from './identity-use.ts';
import type { InstanceFacts } from './instance-facts.ts';
import { addActivationMetrics, createRequestMetrics } from './request-metrics.ts';

interface DeviceServiceParts {
  readonly db: Database;
  /** Its own sessions, so that no background work delays a connect. */
  readonly connectDb: Database;
  readonly facts: InstanceFacts;
  readonly platforms: Platforms;
  readonly registry: Registry;
  readonly log: Logger;
}

export interface DeviceService {
  readonly serve: ReturnType<typeof createDeviceHandler>;
  readonly announcements: AnnouncementOptions;
  /** Writes samples and uses of identities that were collected. Never rejects. */
  flush(): Promise<void>;
  /** Resolves when no notice is being written. */
  settled(): Promise<void>;
}

export function createDeviceService(parts: DeviceServiceParts): DeviceService {
  const { db, connectDb, facts, platforms, registry, log } = parts;
  const instanceId = facts.instance.id;
  const samples = createRequestSamples(instanceId);
  const notices = createDeviceNotices({ db, log, clock: systemClock });
  const identityUse = createIdentityUse({ db, instanceId, features: ownFeatures, clock: systemClock });
  const announcements = announcementsOf(parts);
  const activation = createActivation({
    ...{ db, instanceId, platforms },
    isFeatureActive: (feature) => isFeatureActive(db, ownFeatures, feature),
    domain: () => readDomain(db),
    authorities: facts.presentAuthorities,
  });
  addActivationMetrics(registry, activation);
  const scep = createScepService({
    ...{ db, instanceId, authorities: facts.presentAuthorities },
    registrationActive: () => isFeatureActive(db, ownFeatures, 'scep-registration-authority'),
    renewalActive: facts.renewalActive,
  });
  const serve = createDeviceHandler({
    ...{ db, platforms, instanceId, log, activation, scep, announcements, samples, notices, identityUse },
    connects: createConnectBatcher({ send: (requests) => connectDevices(connectDb, instanceId, requests) }),
    clock: systemClock,
    certificateKeys: createCertificateKeys(),
    identityIssuers: async () => trustedIssuers(await facts.presentAuthorities()),
    onAnswer: createRequestMetrics(registry),
  });
  return {
    serve,
    announcements,
    async flush() {
      for (const collected of [samples, identityUse]) {
        await collected.flush(db).catch((error: unknown) => {
          log.warn({ reason: messageOf(error) }, 'collected request samples could not be written');
        });
      }
    },
    settled: () => notices.settled(),
  };
}

function announcementsOf({ db, facts, platforms }: DeviceServiceParts): AnnouncementOptions {
  const instanceId = facts.instance.id;
  return {
    ...{ db, instanceId, keys: facts.keys },
    wakeChannel: async (tx) => (await readDomain(tx)).wakeChannel,
    onActivated: async (tx, device) => {
      await consumeActivationPassword(tx, { deviceId: device.deviceId, instanceId });
      await oweDeliveries(tx, platforms, { deviceIds: [device.deviceId], cause: 'activation', budgeted: false });
    },
    onReturned: async (tx, device) => {
      await oweDeliveries(tx, platforms, { deviceIds: [device.deviceId], cause: 'activation', budgeted: true });
    },
  };
}
