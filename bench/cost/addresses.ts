/**
 * The addresses of an instance that strangers reach, served in this process as the instance serves them, over real HTTP and
 * a real database. Who asks is a thread of its own, so that only serving is measured.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Worker } from 'node:worker_threads';
import { createActivation } from '../../src/activation/activation.ts';
import { createScepService } from '../../src/activation/scep-service.ts';
import { systemClock } from '../../src/base/clock.ts';
import { openDatabase } from '../../src/database/connection.ts';
import { openTestCluster } from '../../src/database/database-fixture.ts';
import { migrate } from '../../src/database/migrate.ts';
import { createMasterKeys } from '../../src/database/sealed-value.ts';
import { createConnectBatcher } from '../../src/devices/connect-batch.ts';
import { connectDevices } from '../../src/devices/connect-statement.ts';
import { generateAuthorities } from '../../src/domain/authority-creation.ts';
import { createInstance } from '../../src/instances/instances.ts';
import { createRequestSamples } from '../../src/measurements/request-samples.ts';
import { appleBodyBytes } from '../../src/platforms/apple/addresses.ts';
import { registeredPlatforms } from '../../src/platforms/registered/platforms.ts';
import { silentLogger } from '../../src/process/log/logger.ts';
import { createDeviceHandler } from '../../src/processes/server/device-handler.ts';
import { createDeviceNotices } from '../../src/processes/server/device-notices.ts';
import { createIdentityUse } from '../../src/processes/server/identity-use.ts';
import { largeFromBytes } from '../../src/processes/server/large-messages.ts';
import { createCertificateKeys } from '../../src/protocol/cms/certificate-keys.ts';
import { signDetached } from '../../src/protocol/cms/signing.ts';
import { ownFeatures } from '../../src/registry/own-release.ts';
import { migrationFolder } from '../../src/release/program.ts';
import { form, xml } from './ingredients.ts';
import { makeStranger, scepIngredients } from './parsers.ts';
import { kitchenOf } from './recipes.ts';
import type { Kitchen } from './search.ts';

const domain = {
  domainId: '6f2c1a52-6c0f-4c0e-9a2e-0b8a4f6f8a11',
  name: 'bench',
  publicUrl: 'https://mdm.example.org:8443',
  wakeChannel: 'com.apple.mgmt.External.bench',
};
const token = 'A'.repeat(43);
/** What node:http takes of a request's head, less what else stands in it. */
const targetBytes = 12 * 1024;

interface Asked {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer | null;
}

export interface AddressKitchens {
  kitchens: Kitchen[];
  close(): Promise<void>;
}

export async function addressKitchens(): Promise<AddressKitchens> {
  const cluster = await openTestCluster();
  await migrate(cluster.url, {
    folder: migrationFolder(),
    release: '0.0.0',
    contract: true,
    applicationName: 'bramble/bench',
  });
  const db = openDatabase(cluster.url, { applicationName: 'bramble/bench', max: 8 });
  const authorities = await generateAuthorities(domain);
  const made = await db.begin((tx) => createInstance(tx, { name: 'bench' }));
  if (made.kind !== 'created') throw new Error(made.kind);
  const instanceId = made.id;
  const serve = createDeviceHandler({
    ...{ db, instanceId, log: silentLogger, samples: createRequestSamples(instanceId), platforms: registeredPlatforms },
    activation: createActivation({
      ...{ db, instanceId, platforms: registeredPlatforms, isFeatureActive: async () => true },
      domain: async () => domain,
      authorities: async () => authorities,
    }),
    scep: createScepService({
      db,
      instanceId,
      authorities: async () => authorities,
      registrationActive: async () => false,
      renewalActive: async () => false,
    }),
    announcements: {
      ...{ db, instanceId, keys: createMasterKeys(), wakeChannel: async () => domain.wakeChannel },
      onActivated: async () => {},
      onReturned: async () => {},
    },
    connects: createConnectBatcher({ send: (requests) => connectDevices(db, instanceId, requests) }),
    clock: systemClock,
    identityUse: createIdentityUse({ db, instanceId, features: ownFeatures, clock: systemClock }),
    notices: createDeviceNotices({ db, log: silentLogger, clock: systemClock }),
    certificateKeys: createCertificateKeys(),
    identityIssuers: async () => [authorities.device.certificateDer],
    onAnswer: () => {},
  });
  const server = createServer((request, response) => serve(request, response, 'link'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const asker = startAsker((server.address() as AddressInfo).port);
  const stranger = await makeStranger();
  const scep = scepIngredients(stranger, authorities.registration.certificateDer);
  const row = (
    name: string,
    ingredients: Parameters<typeof kitchenOf>[0],
    limitBytes: number,
    ask: (input: Buffer) => Asked,
  ): Kitchen => ({
    ...kitchenOf(ingredients, { name, from: 'stranger', limitBytes, maxLevels: 3000, eat: () => asker.send() }),
    place: (input) => asker.place(ask(input)),
  });
  const put = (kind: 'checkin' | 'connect', limitBytes = appleBodyBytes[kind]) =>
    row(`PUT /mdm/<token>/${kind}, ${limitBytes / 1024} KiB signed by a stranger`, xml, limitBytes, (body) => ({
      method: 'PUT',
      path: `/mdm/${token}/${kind}`,
      headers: { 'mdm-signature': signDetached({ ...stranger, body }) },
      body,
    }));
  return {
    kitchens: [
      row('POST /activate', form, appleBodyBytes.activate, (body) => ({
        method: 'POST',
        path: '/activate',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body,
      })),
      row('GET /scep/<token>', scep, Math.floor(targetBytes * 0.7), (message) => ({
        method: 'GET',
        path: `/scep/${token}?operation=PKIOperation&message=${encodeURIComponent(message.toString('base64')).slice(0, targetBytes)}`,
        headers: {},
        body: null,
      })),
      row('POST /scep/<token>', scep, appleBodyBytes.scep, (body) => ({
        method: 'POST',
        path: `/scep/${token}?operation=PKIOperation`,
        headers: {},
        body,
      })),
      put('checkin'),
      put('connect'),
      put('connect', largeFromBytes),
      row('GET of an unknown path', form, targetBytes, (input) => ({
        method: 'GET',
        path: `/${input.toString('latin1').replace(/[^!-~]/g, '%')}`,
        headers: {},
        body: null,
      })),
    ],
    close: async () => {
      await asker.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await db.end({ timeout: 5 });
      await cluster.stop();
    },
  };
}

function startAsker(port: number) {
  const worker = new Worker(new URL('./asker.ts', import.meta.url), { workerData: { port } });
  const answered = () =>
    new Promise<unknown>((resolve, reject) => {
      const settle = (outcome: (value: unknown) => void) => (value: unknown) => {
        worker.off('message', onMessage).off('error', onError);
        outcome(value);
      };
      const onMessage = settle(resolve);
      const onError = settle(reject);
      worker.on('message', onMessage).on('error', onError);
    });
  return {
    place: async (asked: Asked) => {
      worker.postMessage({ kind: 'place', asked });
      await answered();
    },
    send: () => {
      worker.postMessage({ kind: 'send' });
      return answered();
    },
    close: async () => void (await worker.terminate()),
  };
}
