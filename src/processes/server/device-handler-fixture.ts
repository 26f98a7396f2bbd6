/**
 * For tests: devices over real HTTP against the device handler of one instance. A device is activated, certified and checked in
 * as real ones are.
 */
import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createActivation } from '../../activation/activation.ts';
import {
  type ActivationFixture,
  createActivationFixture,
  type TestInstance,
  testDomain,
} from '../../activation/activation-fixture.ts';
import { consumeActivationPassword } from '../../activation/activation-password.ts';
import { trustedIssuers } from '../../activation/identity-issuer.ts';
import { createScepService } from '../../activation/scep-service.ts';
import { systemClock } from '../../base/clock.ts';
import type { DeviceId } from '../../base/ids.ts';
import type { Database } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { createMasterKeys } from '../../database/sealed-value.ts';
import { oweDeliveries } from '../../deliveries/owe-deliveries.ts';
import { createConnectBatcher } from '../../devices/connect-batch.ts';
import { connectDevices } from '../../devices/connect-statement.ts';
import { seedDomainRow } from '../../devices/device-fixture.ts';
import { createRequestSamples } from '../../measurements/request-samples.ts';
import type { Platforms } from '../../platforms/port.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { serializeCheckin } from '../../protocol/apple/checkin.ts';
import { serializeConnect } from '../../protocol/apple/connect.ts';
import { parseEnrollmentProfile } from '../../protocol/apple/enrollment-profile.ts';
import { createCertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import { signDetached } from '../../protocol/cms/signing.ts';
import type { PlistDictionary } from '../../protocol/plist/value.ts';
import { buildPkcsReq, parseCertRep } from '../../protocol/scep/client-message.ts';
import { createRsaKeyPair } from '../../protocol/x509/key-pair.ts';
import { ownFeatures } from '../../registry/own-release.ts';
import { createDeviceHandler } from './device-handler.ts';
import type { RequestWay } from './device-identity.ts';
import { createDeviceNotices } from './device-notices.ts';
import { createIdentityUse, type IdentityUse } from './identity-use.ts';

export const limited = { timeout: 30_000 };
export const aspenConnect = 'application/x-apple-aspen-mdm';
export const aspenCheckin = 'application/x-apple-aspen-mdm-checkin';

interface TestServer {
  serve: ReturnType<typeof createDeviceHandler>;
  origin: string;
  samples: ReturnType<typeof createRequestSamples>;
  identityUse: IdentityUse;
  close(): Promise<void>;
}

export type Reply = {
  status: number;
  type: string | null;
  owner: string | null;
  body: Buffer;
  code: string | undefined;
};

export const bytes = (body: Uint8Array) => new Uint8Array(body);
export const outcome = ({ status, code }: Reply) => [status, code];

type DeviceHandlerFixture = Awaited<ReturnType<typeof createDeviceHandlerFixture>>;
export type TestDevice = Awaited<ReturnType<DeviceHandlerFixture['activeDevice']>>;

export async function createDeviceHandlerFixture({ platforms = registeredPlatforms, featuresActive = true } = {}) {
  const { url } = await createTestDatabase();
  const fixture = await createActivationFixture(url);
  await seedDomainRow(fixture.db, '1.1.0');
  const statuses: number[] = [];
  /** With hardly any patience with moves, or as usual. */
  const serve = (db: Database, instance = fixture.here, patience: 'little' | 'usual' = 'little') =>
    startServer({ fixture, db, statuses, instance, platforms, featuresActive, patience });
  const server = await serve(fixture.db);
  const ask = (path: string, init: RequestInit, origin = server.origin) => askAt(origin, path, init);
  return {
    ...{ url, fixture, server, startServer: serve, ask, activate, newDevice, activeDevice },
    /** Of all answers so far but those to devices that were told to leave, none was one that makes a device leave. */
    assertNoneMadeToLeave: (leastAnswers: number) => {
      assert.ok(statuses.length > leastAnswers);
      assert.deepEqual(
        statuses.filter((status) => status === 401 || status === 403 || status === 500),
        [],
      );
    },
    close: async () => {
      await server.close();
      await fixture.close();
    },
  };

  function activate(fields: Record<string, string>, origin?: string): Promise<Reply> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return ask('/activate', { method: 'POST', headers, body: new URLSearchParams(fields).toString() }, origin);
  }

  async function newDevice(signed = false) {
    const account = await fixture.account();
    const profile = await activate({
      account: account.name,
      password: account.password,
      ...(signed ? { signed: '1' } : {}),
    });
    assert.equal(profile.status, 200);
    assert.equal(profile.type, 'application/x-apple-aspen-config');
    const facts = parseEnrollmentProfile(profile.body);
    const { key, certificateDer, scep } = await enrolByScep(facts, ask);
    const udid = `UDID-${account.name}`;
    const paths = { checkin: new URL(facts.checkInUrl).pathname, connect: new URL(facts.serverUrl).pathname };
    const speaking = (identity: TestIdentity) => speakingAs({ identity, topic: facts.topic, udid, paths, ask });
    return {
      ...{ account, facts, udid, paths, certificateDer, scep },
      ...speaking({ key, certificateDer }),
      identity: { key, certificateDer },
      /** The same device by another identity. */
      speaking,
      deviceId: async () => {
        const token = paths.connect.split('/')[2] ?? '';
        const [row] = await fixture.db<{ id: DeviceId }[]>`select id from device where token = ${token}`;
        assert.ok(row);
        return row.id;
      },
    };
  }

  async function activeDevice(signed = false) {
    const device = await newDevice(signed);
    assert.equal((await device.checkin('Authenticate', { OSVersion: '18.1' })).status, 200);
    const token = { Token: Buffer.from('token'), PushMagic: 'magic' };
    assert.equal((await device.checkin('TokenUpdate', token)).status, 200);
    return device;
  }
}

type Ask = (path: string, init: RequestInit, origin?: string) => Promise<Reply>;

/** What a device sends, signed by the identity. */
function speakingAs({
  identity: { key, certificateDer },
  topic,
  udid,
  paths,
  ask,
}: {
  identity: TestIdentity;
  topic: string;
  udid: string;
  paths: { checkin: string; connect: string };
  ask: Ask;
}) {
  const put = (path: string, type: string, body: Buffer, headers: Record<string, string> = {}, origin?: string) => {
    const signature = signDetached({ key, certificateDer, body });
    const all = { 'content-type': type, 'mdm-signature': signature, ...headers };
    return ask(path, { method: 'PUT', headers: all, body: bytes(body) }, origin);
  };
  return {
    put,
    signedAt: (signingTime: Date, body: Buffer) =>
      put(paths.connect, aspenConnect, body, {
        'mdm-signature': signDetached({ key, certificateDer, body, signingTime }),
      }),
    checkin: (type: Parameters<typeof serializeCheckin>[0], fields: PlistDictionary = {}, origin?: string) => {
      const body = serializeCheckin(type, { UDID: udid, Topic: topic, ...fields });
      return put(paths.checkin, aspenCheckin, body, {}, origin);
    },
    connect: (answer: Omit<Parameters<typeof serializeConnect>[0], 'udid'>, origin?: string) =>
      put(paths.connect, aspenConnect, serializeConnect({ udid, ...answer }), {}, origin),
  };
}

/** Serves device requests of an instance as the instance's main does; `x-way` stands for the way that a request came. */
async function startServer({
  fixture,
  db,
  statuses,
  instance,
  platforms,
  featuresActive,
  patience,
}: {
  fixture: ActivationFixture;
  db: Database;
  statuses: number[];
  instance: TestInstance;
  platforms: Platforms;
  featuresActive: boolean;
  patience: 'little' | 'usual';
}): Promise<TestServer> {
  const movingPatienceMs = patience === 'little' ? 5 : undefined;
  const { id: instanceId } = instance;
  const authorities = async () => fixture.authorities;
  const samples = createRequestSamples(instanceId);
  const identityUse = createIdentityUse({ db, instanceId, features: ownFeatures, clock: systemClock });
  const serve = createDeviceHandler({
    ...{ db, instanceId, log: silentLogger, samples, platforms },
    activation: createActivation({
      ...{ db, instanceId, platforms, isFeatureActive: async () => featuresActive },
      domain: async () => testDomain,
      authorities,
    }),
    scep: createScepService({
      db,
      instanceId,
      authorities,
      registrationActive: async () => false,
      renewalActive: async () => true,
    }),
    announcements: {
      ...{ db, instanceId, keys: createMasterKeys(), wakeChannel: async () => testDomain.wakeChannel },
      onActivated: async (tx, device) => {
        await consumeActivationPassword(tx, { deviceId: device.deviceId, instanceId });
        await oweDeliveries(tx, platforms, { deviceIds: [device.deviceId], cause: 'activation', budgeted: false });
      },
      onReturned: async (tx, device) => {
        await oweDeliveries(tx, platforms, { deviceIds: [device.deviceId], cause: 'activation', budgeted: true });
      },
    },
    connects: createConnectBatcher({
      send: (requests) => connectDevices(db, instanceId, requests),
      movingPatienceMs,
    }),
    movingPatienceMs,
    clock: systemClock,
    identityUse,
    notices: createDeviceNotices({ db, log: silentLogger, clock: systemClock }),
    certificateKeys: createCertificateKeys(),
    identityIssuers: async () => trustedIssuers(fixture.authorities),
    onAnswer: (_kind, answer) => {
      if (answer.code !== 'ERR_REMOVED') statuses.push(answer.status);
    },
  });
  const server = createServer((request, response) => serve(request, response, wayOf(request.headers['x-way'])));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    serve,
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    samples,
    identityUse,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function askAt(origin: string, path: string, init: RequestInit): Promise<Reply> {
  const response = await fetch(new URL(path, origin), init);
  const body = Buffer.from(await response.arrayBuffer());
  const type = response.headers.get('content-type');
  const code = type === 'application/json' ? (JSON.parse(body.toString()) as { code: string }).code : undefined;
  return { status: response.status, type, owner: response.headers.get('bramble-owner'), body, code };
}

export interface TestIdentity {
  readonly key: KeyObject;
  readonly certificateDer: Uint8Array;
}

/** Gets a device its identity, as the enrolment profile says. */
export async function enrolByScep(
  facts: ReturnType<typeof parseEnrollmentProfile>,
  ask: (path: string, init: RequestInit) => Promise<Reply>,
  key?: KeyObject,
  renew?: TestIdentity,
) {
  const outcome = await askForIdentity(facts, ask, key, renew);
  assert.ok(outcome.rep.status === 'success');
  return { key: outcome.key, scep: outcome.scep, certificateDer: outcome.rep.certificateDer };
}

/** The same, whatever comes of it. */
export async function askForIdentity(
  facts: ReturnType<typeof parseEnrollmentProfile>,
  ask: (path: string, init: RequestInit) => Promise<Reply>,
  given?: KeyObject,
  renew?: TestIdentity,
) {
  const key = given ?? (await createRsaKeyPair()).privateKey;
  const scep = new URL(facts.scepUrl).pathname;
  assert.match((await ask(`${scep}?operation=GetCACaps`, {})).body.toString(), /POSTPKIOperation/);
  const authority = (await ask(`${scep}?operation=GetCACert`, {})).body;
  const request = buildPkcsReq({
    key,
    subject: facts.subject,
    raCertificateDer: authority,
    ...(facts.challenge === undefined ? {} : { challengePassword: facts.challenge }),
    ...(renew === undefined ? {} : { renew }),
  });
  const init = { method: 'POST', headers: { 'content-type': 'application/x-pki-message' }, body: bytes(request.der) };
  const rep = parseCertRep((await ask(`${scep}?operation=PKIOperation`, init)).body, request, authority);
  return { key, scep, rep };
}

const wayOf = (header: unknown): RequestWay => (header === 'link' || header === 'proxy' ? header : 'loopback');
