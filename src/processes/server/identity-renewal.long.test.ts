/**
 * A device renews its identity over the real protocol: the policy service owes and sends the profile, SCEP issues, the device
 * handler accepts both identities until the new one is used.
 */
import assert from 'node:assert/strict';
import { randomUUID, X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { testDomain } from '../../activation/activation-fixture.ts';
import { createRenewalOrders } from '../../activation/renewal-profiles.ts';
import { budgetSchema } from '../../api/budget.ts';
import { systemClock } from '../../base/clock.ts';
import { writeBudget } from '../../deliveries/budget.ts';
import { oweRenewals } from '../../deliveries/owe-renewals.ts';
import { createPolicyService } from '../../deliveries/policy-service.ts';
import { identitySettingsSchema } from '../../domain/identity-settings.ts';
import type { Order } from '../../platforms/order.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { seedPolicies } from '../../policies/preconfigured-policies.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { commandRequest, parseCommand, serializeCommand } from '../../protocol/apple/command.ts';
import { serializeConnect } from '../../protocol/apple/connect.ts';
import { parseEnrollmentProfile } from '../../protocol/apple/enrollment-profile.ts';
import { serializeClientCert } from '../../protocol/client-cert-header.ts';
import { buildPkcsReq } from '../../protocol/scep/client-message.ts';
import { createEcKeyPair } from '../../protocol/x509/key-pair.ts';
import { until } from '../../testing/condition.ts';
import {
  askForIdentity,
  aspenConnect,
  bytes,
  createDeviceHandlerFixture,
  enrolByScep,
  limited,
  outcome,
  type Reply,
  type TestDevice,
  type TestIdentity,
} from './device-handler-fixture.ts';

const stage = await createDeviceHandlerFixture();
let turn: () => Promise<void>;
let isDomainUnreadable = false;
const orders = createRenewalOrders({
  platforms: registeredPlatforms,
  instanceId: stage.fixture.here.id,
  domain: async () => {
    if (isDomainUnreadable) throw new Error('the domain cannot be read');
    return testDomain;
  },
  authorities: async () => stage.fixture.authorities,
});

before(async () => {
  const { db, here } = stage.fixture;
  await seedPolicies(db);
  await db.begin((tx) =>
    writeBudget(tx, budgetSchema.parse({ perMinuteInstance: 6000, perMinuteDomain: 6000 }), [here.id]),
  );
  const clock = { ...systemClock, time: Date.now(), now: () => clock.time };
  const service = createPolicyService({
    db,
    instance: { ...here, name: 'here' },
    release: '1.2.0',
    domain: { ...testDomain, tunnelHost: 'tunnel.example.org' },
    wakeClients: new Map(),
    identityRenewal: { isActive: async () => true, orders },
    platforms: registeredPlatforms,
    clock,
    log: silentLogger,
  });
  turn = async () => {
    clock.time += 3_600_000;
    // What is owed in one turn is released in the next.
    for (let turns = 0; turns < 2; turns += 1) await service.tick();
    await service.pushed();
    assert.equal(service.counts().failedSteps, 0);
  };
});
after(() => stage.close());

type Connected = Pick<TestDevice, 'connect'>;

/** Answers everything until the command of the type comes; undefined where it does not. */
async function commandOf(device: Connected, isWanted: (fields: ReturnType<typeof parseCommand>) => boolean) {
  let reply = await device.connect({ status: 'Idle' });
  for (;;) {
    assert.equal(reply.status, 200);
    if (reply.body.length === 0) return undefined;
    const command = parseCommand(reply.body);
    if (isWanted(command)) return command;
    reply = await device.connect({ status: 'Acknowledged', commandUuid: command.commandUuid });
  }
}

/** The renewal that the device is handed: its command, and the enrolment profile in it. */
/** The profile that an order installs. */
function profileOf(order: Order) {
  const { fields } = parseCommand(order.write('00000000-0000-4000-8000-000000000000'));
  return parseEnrollmentProfile(fields['Payload'] as Uint8Array);
}

async function renewalFor(device: Connected) {
  const command = await commandOf(device, ({ fields }) => enrolmentIn(fields['Payload']) !== undefined);
  if (command === undefined) return undefined;
  const facts = enrolmentIn(command.fields['Payload']);
  assert.ok(facts);
  return { commandUuid: command.commandUuid, facts };
}

function enrolmentIn(payload: unknown) {
  try {
    return payload instanceof Uint8Array ? parseEnrollmentProfile(payload) : undefined;
  } catch {
    return undefined;
  }
}

/** As if so many days had passed since the identity was issued. */
async function ageIdentity(device: TestDevice, days: number): Promise<void> {
  await stage.fixture.db`
    update device set identity_issued_at = identity_issued_at - make_interval(days => ${days}),
           identity_expires_at = identity_expires_at - make_interval(days => ${days})
     where id = ${await device.deviceId()}`;
}

const ask = (path: string, init: RequestInit) => stage.ask(path, init);
const served = ({ status }: Reply) => status === 200;

async function renewing(days = 300) {
  const device = await stage.activeDevice(true);
  await turn();
  await ageIdentity(device, days);
  await turn();
  const renewal = await renewalFor(device);
  assert.ok(renewal);
  return { device, ...renewal };
}

async function deliveries(device: TestDevice) {
  const rows = await stage.fixture.db<{ state: string; cause: string }[]>`
    select state, cause from delivery where device_id = ${await device.deviceId()} and item = 'device-identity'
     order by owed_at`;
  return rows.map(({ state, cause }) => `${state} ${cause}`);
}

async function rowOf(device: TestDevice) {
  const [row] = await stage.fixture.db<
    { state: string; daysLeft: number; token: Buffer | null; queued: number; bootstrap: boolean }[]
  >`
    select d.state, extract(day from d.identity_expires_at - now())::int as "daysLeft", d.push_token as token,
           d.bootstrap_token is not null as bootstrap,
           (select count(*)::int from command c where c.device_id = d.id and c.state in ('queued', 'sent', 'not-now')) as queued
      from device d where d.id = ${await device.deviceId()}`;
  assert.ok(row);
  return row;
}

async function queueCommand(device: TestDevice): Promise<void> {
  const commandUuid = randomUUID();
  const body = serializeCommand({ commandUuid, ...commandRequest.deviceInformation(['OSVersion']) });
  await stage.fixture.db`
    insert into command (id, device_id, account_id, request_type, body)
    select ${commandUuid}, id, account_id, 'DeviceInformation', ${body} from device where id = ${await device.deviceId()}`;
}

test(
  'a device renews its identity in the last third of its time, and its new identity replaces the old',
  limited,
  async () => {
    const device = await stage.activeDevice(true);
    assert.ok(served(await device.checkin('SetBootstrapToken', { BootstrapToken: Buffer.from('escrow') })));
    await turn();
    assert.equal(await renewalFor(device), undefined);
    await ageIdentity(device, 365 - 122);
    await turn();
    assert.equal(await renewalFor(device), undefined);
    // The place between a third and a quarter is the device's own.
    await ageIdentity(device, 122 - 91);
    await turn();
    const renewal = await renewalFor(device);
    assert.ok(renewal);
    const { challenge, ...kept } = device.facts;
    const { challenge: fresh, ...sent } = renewal.facts;
    assert.deepEqual(sent, kept);
    assert.notEqual(fresh, challenge);

    const identity = await enrolByScep(renewal.facts, ask);
    const renewed = device.speaking(identity);
    await queueCommand(device);
    // As macOS does: Authenticate and TokenUpdate come along, and clear nothing.
    assert.ok(served(await device.connect({ status: 'Acknowledged', commandUuid: renewal.commandUuid })));
    const before = await rowOf(device);
    assert.ok(served(await device.checkin('Authenticate', { OSVersion: '19.0' })));
    assert.deepEqual(await rowOf(device), before);
    assert.ok(served(await renewed.checkin('Authenticate', { OSVersion: '19.0' })));
    assert.ok(served(await renewed.checkin('TokenUpdate', { Token: Buffer.from('token'), PushMagic: 'magic' })));
    assert.deepEqual(await rowOf(device), { ...before, daysLeft: 364 });
    assert.equal(before.state, 'active');
    assert.deepEqual([before.bootstrap, before.queued > 0], [true, true]);
    assert.ok(served(await renewed.connect({ status: 'Idle' })));
    assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [400, 'ERR_WRONG_IDENTITY']);
    assert.deepEqual(outcome(await device.checkin('Authenticate')), [400, 'ERR_WRONG_IDENTITY']);
    assert.deepEqual(await deliveries(device), ['done renewal']);
    await turn();
    assert.equal(await renewalFor(renewed), undefined);
    const events = await stage.fixture.eventsOf(await device.deviceId());
    assert.ok(events.includes('device-identity-renewed'));
  },
);

/** SCEP under a renewal of the device: refused, and nothing accepted beside its present identity. */
async function refusedBySCEP(device: TestDevice, facts: TestDevice['facts']) {
  const { rep, key } = await askForIdentity(facts, ask);
  assert.deepEqual(rep, { status: 'failure', failInfo: 'badRequest' });
  assert.ok(served(await device.connect({ status: 'Idle' })));
  return key;
}

test(
  'a try of a renewal is bound to one key: its answer can be repeated, another key and another device are refused',
  limited,
  async () => {
    const [one, other] = [await renewing(), await renewing()];
    const first = await enrolByScep(one.facts, ask);
    const again = await enrolByScep(one.facts, ask, first.key);
    assert.deepEqual(again.certificateDer, first.certificateDer);
    await refusedBySCEP(one.device, one.facts);
    // The challenge of one device at the address of another.
    await refusedBySCEP(other.device, { ...other.facts, ...pick(one.facts) });
    await refusedBySCEP(other.device, { ...other.facts, challenge: 'guessed' });
    // What was lost on its way to the device is not lost: it uses the certificate that it got when it asked again.
    assert.ok(served(await one.device.speaking(again).connect({ status: 'Idle' })));
    // Used up with the first use.
    const late = await askForIdentity(one.facts, ask, first.key);
    assert.equal(late.rep.status, 'failure');
    await refusedBySCEP({ ...one.device, ...one.device.speaking(again) }, one.facts);
    const second = await enrolByScep(other.facts, ask);
    assert.ok(served(await other.device.speaking(second).connect({ status: 'Idle' })));
  },
);

const pick = ({ challenge }: TestDevice['facts']) => (challenge === undefined ? {} : { challenge });

test('a challenge is good only while its profile is with the device', limited, async () => {
  const device = await stage.activeDevice(true);
  await ageIdentity(device, 300);
  await turn();
  const [row] = await stage.fixture.db<{ challenge: string }[]>`
    select challenge from device_renewal where device_id = ${await device.deviceId()}`;
  assert.ok(row);
  // Prepared, and not handed out: only the database knows it.
  const facts = { ...device.facts, challenge: row.challenge };
  await refusedBySCEP(device, facts);
  const renewal = await renewalFor(device);
  assert.equal(renewal?.facts.challenge, row.challenge);
  await stage.fixture.db`
    update command set sent_at = sent_at - interval '25 hours' where id = ${renewal?.commandUuid ?? ''}`;
  await refusedBySCEP(device, facts);
  // Handed out again it is good again.
  assert.deepEqual((await renewalFor(device))?.facts, renewal?.facts);
  const identity = await enrolByScep(facts, ask);
  assert.ok(served(await device.speaking(identity).connect({ status: 'Idle' })));
});

test(
  'the former identity is refused, a stranger changes nothing, and no other name is taken during a renewal',
  limited,
  async () => {
    const { device, facts } = await renewing();
    const stranger = device.speaking({ ...(await stage.activeDevice()).identity });
    const identity = await enrolByScep(facts, ask);
    const renewed = device.speaking(identity);
    const before = await rowOf(device);
    assert.deepEqual(outcome(await stranger.checkin('Authenticate')), [400, 'ERR_WRONG_IDENTITY']);
    assert.deepEqual(outcome(await stranger.connect({ status: 'Idle' })), [400, 'ERR_WRONG_IDENTITY']);
    for (const speaker of [device, renewed]) {
      const named = await speaker.checkin('Authenticate', { UDID: 'another' });
      assert.deepEqual(outcome(named), [400, 'ERR_ANOTHER_ENROLMENT']);
      assert.equal((await rowOf(device)).queued, before.queued - (speaker === renewed ? 1 : 0));
    }
    assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [400, 'ERR_WRONG_IDENTITY']);
    // Written behind the answer, and once, however often it came.
    const id = await device.deviceId();
    const heard = async () => (await stage.fixture.eventsOf(id)).filter((kind) => kind === 'device-former-identity');
    await until('an event says so', 30_000, async () => (await heard()).length > 0);
    assert.equal((await heard()).length, 1);
    assert.ok(served(await renewed.connect({ status: 'Idle' })));
  },
);

test(
  'an identity that is used without an answer to its profile settles it; the profile is not told again',
  limited,
  async () => {
    const { device, facts } = await renewing();
    const renewed = device.speaking(await enrolByScep(facts, ask));
    // It died before it answered, in the hand of eight requests at once.
    const replies = await Promise.all(Array.from({ length: 8 }, () => renewed.connect({ status: 'Idle' })));
    assert.deepEqual(
      replies.map(({ status }) => status),
      replies.map(() => 200),
    );
    assert.equal(await renewalFor(renewed), undefined);
    assert.deepEqual(await deliveries(device), ['done renewal']);
    const [permits] = await stage.fixture.db<{ taken: number }[]>`
    select count(*)::int as taken from delivery_permit p join delivery v on v.id = p.delivery_id
     where v.device_id = ${await device.deviceId()}`;
    assert.equal(permits?.taken, 0);
  },
);

/** As if the newest try had ended so long ago. */
async function endedAgo(device: TestDevice, minutes: number): Promise<void> {
  await stage.fixture.db`
    update delivery set settled_at = settled_at - make_interval(mins => ${minutes})
     where item = 'device-identity' and device_id = ${await device.deviceId()}`;
}

test('a renewal that failed is tried again with a fresh challenge, ever later', limited, async () => {
  const { device, commandUuid, facts } = await renewing();
  assert.ok(served(await device.connect({ status: 'Error', commandUuid })));
  await refusedBySCEP(device, facts);
  const challenges = new Set([facts.challenge]);
  for (const minutes of [30, 60, 120]) {
    await endedAgo(device, minutes - 1);
    await turn();
    assert.equal(await renewalFor(device), undefined);
    await endedAgo(device, 2);
    await turn();
    const renewal = await renewalFor(device);
    assert.ok(renewal);
    challenges.add(renewal.facts.challenge);
    assert.ok(served(await device.connect({ status: 'Error', commandUuid: renewal.commandUuid })));
  }
  assert.equal(challenges.size, 4);
  const tries = await deliveries(device);
  assert.deepEqual(tries, ['failed renewal', 'failed retry', 'failed retry', 'failed retry']);
});

test(
  'an identity that was acknowledged and is never used is tried again; it is good until the next one is issued',
  limited,
  async () => {
    const { device, commandUuid, facts } = await renewing();
    const first = await enrolByScep(facts, ask);
    assert.ok(served(await device.connect({ status: 'Acknowledged', commandUuid })));
    await endedAgo(device, 31);
    await turn();
    const second = await renewalFor(device);
    assert.ok(second);
    assert.notEqual(second.facts.challenge, facts.challenge);
    // The device did have it, and uses it after all: the second try is settled with the first.
    const renewed = device.speaking(first);
    assert.ok(served(await renewed.connect({ status: 'Idle' })));
    assert.deepEqual(await deliveries(device), ['done renewal', 'done retry']);
    await turn();
    assert.equal(await renewalFor(renewed), undefined);
  },
);

test(
  'a device that asks for a new identity by itself, signing with the present one, keeps both until it uses the new one',
  limited,
  async () => {
    const device = await stage.activeDevice();
    const asked = await enrolByScep({ ...device.facts, challenge: undefined }, ask, undefined, device.identity);
    assert.ok(served(await device.connect({ status: 'Idle' })));
    const renewed = device.speaking(asked);
    assert.ok(served(await renewed.connect({ status: 'Idle' })));
    assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [400, 'ERR_WRONG_IDENTITY']);
  },
);

test('an identity that ended while the device was away is served, and renewed', limited, async () => {
  const { device, facts } = await renewing(500);
  assert.ok((await rowOf(device)).daysLeft < 0);
  assert.ok(served(await device.checkin('TokenUpdate', { Token: Buffer.from('token'), PushMagic: 'magic' })));
  const renewed = device.speaking(await enrolByScep(facts, ask));
  assert.ok(served(await renewed.connect({ status: 'Idle' })));
  assert.ok((await rowOf(device)).daysLeft > 360);
});

test('a renewal goes on where the account goes', limited, async () => {
  const { fixture } = stage;
  const { device, commandUuid, facts } = await renewing();
  const there = await stage.startServer(fixture.db, fixture.there);
  const identity = await enrolByScep(facts, ask);
  const renewed = device.speaking(identity);
  const accountId = device.account.id;
  await fixture.mark(accountId);
  assert.deepEqual(outcome(await renewed.connect({ status: 'Idle' })), [503, 'ERR_ACCOUNT_MOVING']);
  assert.deepEqual(outcome(await renewed.checkin('Authenticate')), [503, 'ERR_ACCOUNT_MOVING']);
  await fixture.db`delete from account_mark where account_id = ${accountId}`;
  await fixture.db`
    update account set instance_id = ${fixture.there.id}, epoch = epoch + 1 where id = ${accountId}`;
  const sent = await renewed.connect({ status: 'Idle' });
  assert.deepEqual([sent.status, sent.owner], [421, fixture.there.srpIdentifier]);
  assert.equal((await renewed.checkin('Authenticate')).status, 421);
  // Neither the device nor its new owner lost anything: the old identity still does, and the same key gets its certificate.
  const askThere = (path: string, init: RequestInit) => stage.ask(path, init, there.origin);
  assert.ok(served(await device.connect({ status: 'Acknowledged', commandUuid }, there.origin)));
  assert.deepEqual((await enrolByScep(facts, askThere, identity.key)).certificateDer, identity.certificateDer);
  assert.ok(served(await renewed.checkin('Authenticate', {}, there.origin)));
  assert.ok(served(await renewed.connect({ status: 'Idle' }, there.origin)));
  assert.deepEqual(outcome(await device.connect({ status: 'Idle' }, there.origin)), [400, 'ERR_WRONG_IDENTITY']);
  await there.close();
});

test(
  'a connection that was opened by one of the two identities carries what the other signed, and nobody else’s',
  limited,
  async () => {
    const { device, facts } = await renewing();
    const identity = await enrolByScep(facts, ask);
    const stranger = (await stage.activeDevice()).certificateDer;
    const idle = serializeConnect({ status: 'Idle', udid: device.udid });
    const sent = (signer: TestIdentity, shown: Uint8Array) =>
      device.speaking(signer).put(device.paths.connect, aspenConnect, idle, {
        'client-cert': serializeClientCert(shown),
        'x-way': 'link',
      });
    for (const signer of [device.identity, identity]) {
      assert.deepEqual(outcome(await sent(signer, stranger)), [400, 'ERR_IDENTITY_MISMATCH']);
    }
    assert.ok(served(await sent(device.identity, identity.certificateDer)), 'before the new one signed anything');
    assert.ok(served(await sent(identity, device.certificateDer)));
    assert.ok(served(await sent(identity, device.certificateDer)), 'after it');
    assert.deepEqual(outcome(await sent(device.identity, identity.certificateDer)), [400, 'ERR_WRONG_IDENTITY']);
  },
);

test('the former identity is a proof in TLS for as long as a connection may last, and no longer', limited, async () => {
  const { device, facts } = await renewing();
  const identity = await enrolByScep(facts, ask);
  const renewed = device.speaking(identity);
  assert.ok(served(await renewed.connect({ status: 'Idle' })));
  const idle = serializeConnect({ status: 'Idle', udid: device.udid });
  const overFormer = async () =>
    await renewed.put(device.paths.connect, aspenConnect, idle, {
      'client-cert': serializeClientCert(device.certificateDer),
      'x-way': 'link',
    });
  for (const [renewedAgo, answer] of [
    ['11 hours', [200, undefined]],
    ['13 hours', [400, 'ERR_IDENTITY_MISMATCH']],
    ['300 days', [400, 'ERR_IDENTITY_MISMATCH']],
    // As a clock writes it that is ahead.
    ['-1 year', [400, 'ERR_IDENTITY_MISMATCH']],
  ] as const) {
    await stage.fixture.db`
      update device_renewal set renewed_at = now() - ${renewedAgo}::interval where device_id = ${await device.deviceId()}`;
    assert.deepEqual(outcome(await overFormer()), answer, renewedAgo);
  }
  assert.ok(served(await renewed.connect({ status: 'Idle' })));
});

test(
  'devices that renewed after the backup from which the database was restored are named in an event, strangers are not',
  limited,
  async () => {
    const { db } = stage.fixture;
    const { device, facts } = await renewing();
    const identity = await enrolByScep(facts, ask);
    const renewed = device.speaking(identity);
    const id = await device.deviceId();
    const [backup] = await db<{ key: Buffer; certificate: Buffer; fingerprint: string; expiresAt: Date }[]>`
      select identity_key as key, identity_certificate as certificate, identity_fingerprint as fingerprint,
             identity_expires_at as "expiresAt" from device where id = ${id}`;
    assert.ok(backup);
    assert.ok(served(await renewed.connect({ status: 'Idle' })));
    await db`
      update device set identity_key = ${backup.key}, identity_certificate = ${backup.certificate},
             identity_fingerprint = ${backup.fingerprint}, identity_expires_at = ${backup.expiresAt} where id = ${id}`;
    await db`delete from device_renewal where device_id = ${id}`;

    const other = await stage.activeDevice();
    const stranger = other.speaking(identity);
    const ways = [
      () => stranger.connect({ status: 'Idle' }),
      () => renewed.connect({ status: 'Idle' }),
      () => renewed.checkin('Authenticate'),
    ];
    for (const come of ways) assert.deepEqual(outcome(await come()), [400, 'ERR_WRONG_IDENTITY']);
    const heard = async (deviceId: string) =>
      (await db`select 1 from event where kind = 'device-unknown-identity' and subject = ${deviceId}`).length;
    await until('an event names the device', 30_000, async () => (await heard(id)) > 0);
    assert.equal(await heard(id), 1);
    assert.equal(await heard(await other.deviceId()), 0);
    assert.ok(served(await device.connect({ status: 'Idle' })), 'what the database knows is served');
  },
);

test(
  'a profile that cannot be made is the failure of its delivery; others of the batch are sent, and it is tried again later',
  limited,
  async () => {
    const { db } = stage.fixture;
    const device = await stage.activeDevice(true);
    await turn();
    while ((await commandOf(device, () => true)) !== undefined) await device.connect({ status: 'Idle' });
    await ageIdentity(device, 300);
    const id = await device.deviceId();
    isDomainUnreadable = true;
    await db`
      insert into delivery (id, account_id, device_id, item, cause, budgeted)
      select gen_random_uuid(), account_id, id, 'synchronization', 'activation', true from device where id = ${id}`;
    await turn();
    isDomainUnreadable = false;
    assert.deepEqual(await deliveries(device), ['failed renewal']);
    const [row] = await db<{ failure: string; sent: number }[]>`
      select v.failure, (select count(*)::int from delivery s where s.device_id = v.device_id
                            and s.item = 'synchronization' and s.budgeted and s.state = 'released') as sent
        from delivery v where v.device_id = ${id} and v.item = 'device-identity'`;
    assert.deepEqual(row, { failure: 'could not be compiled: the domain cannot be read', sent: 1 });
    await turn();
    assert.deepEqual(await deliveries(device), ['failed renewal'], 'not at once');
    await endedAgo(device, 31);
    await turn();
    assert.ok(await renewalFor(device));
  },
);

test('what cannot be certified leaves the renewal as it was', limited, async () => {
  const { device, facts } = await renewing();
  const ra = (await ask(`${device.scep}?operation=GetCACert`, {})).body;
  const { privateKey } = await createEcKeyPair();
  const request = buildPkcsReq({
    key: privateKey,
    subject: { commonName: 'x'.repeat(64), organizationalUnit: 'another' },
    raCertificateDer: ra,
    ...(facts.challenge === undefined ? {} : { challengePassword: facts.challenge }),
  });
  const headers = { 'content-type': 'application/x-pki-message' };
  for (const message of [request.der, Buffer.from('no message')]) {
    const reply = await ask(`${device.scep}?operation=PKIOperation`, { method: 'POST', headers, body: bytes(message) });
    assert.ok(reply.status === 200 || reply.status === 400);
  }
  assert.ok(served(await device.connect({ status: 'Idle' })));
  const identity = await enrolByScep({ ...facts, subject: { commonName: 'somebody else' } }, ask);
  const { subject } = new X509Certificate(identity.certificateDer);
  assert.match(subject, new RegExp(`CN=${await device.deviceId()}`), 'the subject is not the device’s to choose');
  assert.ok(served(await device.speaking(identity).connect({ status: 'Idle' })));
});

test(
  'a service that dies between making a challenge and queueing its profile leaves one try, with the same challenge',
  limited,
  async () => {
    const { db, here } = stage.fixture;
    const device = await stage.activeDevice(true);
    await turn();
    await ageIdentity(device, 300);
    assert.equal(await oweRenewals(db, here.id, identitySettingsSchema.parse({}), 1), 1);
    const [order] = await db<{ id: string; deviceId: string; accountId: string; accountName: string }[]>`
    select v.id, v.device_id as "deviceId", a.id as "accountId", a.name as "accountName"
      from delivery v join account a on a.id = v.account_id
     where v.device_id = ${await device.deviceId()} and v.item = 'device-identity'`;
    assert.ok(order);
    const lost = (await orders(db, [order])).get(order.deviceId)?.();
    assert.ok(lost);
    await turn();
    const renewal = await renewalFor(device);
    assert.equal(renewal?.facts.challenge, profileOf(lost).challenge);
    const [row] = await db`select attempts from device_renewal where device_id = ${order.deviceId}`;
    assert.equal(row?.['attempts'], 1);
    // One that still thinks that it is owed makes no second one: the challenge with the device stays good.
    assert.equal((await orders(db, [order])).size, 0);
    const renewed = device.speaking(await enrolByScep({ ...device.facts, challenge: renewal?.facts.challenge }, ask));
    assert.ok(served(await renewed.connect({ status: 'Idle' })));
  },
);

test(
  'a renewed identity reinstates a suspended enrolment, whose renewal its suspension did not end',
  limited,
  async () => {
    const { device, facts } = await renewing();
    const identity = await enrolByScep(facts, ask);
    const newcomer = await stage.newDevice();
    assert.ok(served(await newcomer.checkin('Authenticate', { UDID: device.udid })));
    const stateOf = async () => (await rowOf(device)).state;
    assert.equal(await stateOf(), 'authenticated', 'suspended');
    assert.deepEqual((await deliveries(device)).slice(0, 1), ['failed renewal']);
    const renewed = device.speaking(identity);
    assert.ok(served(await renewed.connect({ status: 'Idle' })));
    assert.equal(await stateOf(), 'active');
    assert.ok(served(await renewed.checkin('Authenticate', { OSVersion: '19.0' })));
    assert.equal(await stateOf(), 'active', 'its Authenticate comes with the renewal');
  },
);
