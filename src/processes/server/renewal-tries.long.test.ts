/** The tries of a renewal: what a challenge is good for, when the next try comes, and what a failure leaves. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { oweRenewals } from '../../deliveries/owe-renewals.ts';
import { identitySettingsSchema } from '../../domain/identity-settings.ts';
import type { Order } from '../../platforms/order.ts';
import { parseCommand } from '../../protocol/apple/command.ts';
import { parseEnrollmentProfile } from '../../protocol/apple/enrollment-profile.ts';
import { buildPkcsReq } from '../../protocol/scep/client-message.ts';
import { createEcKeyPair } from '../../protocol/x509/key-pair.ts';
import { askForIdentity, bytes, enrolByScep, limited, type TestDevice } from './device-handler-fixture.ts';
import { commandOf, createRenewalFixture, renewalFor, served } from './identity-renewal-fixture.ts';

const { stage, ask, orders, turn, ageIdentity, setDomainReadable, renewing, deliveries, endedAgo, refusedByScep } =
  await createRenewalFixture();
after(() => stage.close());

test(
  'a try of a renewal is bound to one key: its answer can be repeated, another key and another device are refused',
  limited,
  async () => {
    const [one, other] = [await renewing(), await renewing()];
    const first = await enrolByScep(one.facts, ask);
    const again = await enrolByScep(one.facts, ask, first.key);
    assert.deepEqual(again.certificateDer, first.certificateDer);
    await refusedByScep(one.device, one.facts);
    // The challenge of one device at the address of another.
    await refusedByScep(other.device, { ...other.facts, ...pick(one.facts) });
    await refusedByScep(other.device, { ...other.facts, challenge: 'guessed' });
    // What was lost on its way to the device is not lost: it uses the certificate that it got when it asked again.
    assert.ok(served(await one.device.speaking(again).connect({ status: 'Idle' })));
    // Used up with the first use.
    const late = await askForIdentity(one.facts, ask, first.key);
    assert.equal(late.rep.status, 'failure');
    await refusedByScep({ ...one.device, ...one.device.speaking(again) }, one.facts);
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
  await refusedByScep(device, facts);
  const renewal = await renewalFor(device);
  assert.equal(renewal?.facts.challenge, row.challenge);
  await stage.fixture.db`
    update command set sent_at = sent_at - interval '25 hours' where id = ${renewal?.commandUuid ?? ''}`;
  await refusedByScep(device, facts);
  // Handed out again it is good again.
  assert.deepEqual((await renewalFor(device))?.facts, renewal?.facts);
  const identity = await enrolByScep(facts, ask);
  assert.ok(served(await device.speaking(identity).connect({ status: 'Idle' })));
});

test('a renewal that failed is tried again with a fresh challenge, ever later', limited, async () => {
  const { device, commandUuid, facts } = await renewing();
  assert.ok(served(await device.connect({ status: 'Error', commandUuid })));
  await refusedByScep(device, facts);
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
  'a profile that cannot be made is the failure of its delivery; others of the batch are sent, and it is tried again later',
  limited,
  async () => {
    const { db } = stage.fixture;
    const device = await stage.activeDevice(true);
    await turn();
    while ((await commandOf(device, () => true)) !== undefined) await device.connect({ status: 'Idle' });
    await ageIdentity(device, 300);
    const id = await device.deviceId();
    setDomainReadable(false);
    await db`
      insert into delivery (id, account_id, device_id, item, cause, budgeted)
      select gen_random_uuid(), account_id, id, 'synchronization', 'activation', true from device where id = ${id}`;
    await turn();
    setDomainReadable(true);
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

/** The profile that an order installs. */
function profileOf(order: Order) {
  const { fields } = parseCommand(order.write('00000000-0000-4000-8000-000000000000'));
  return parseEnrollmentProfile(fields['Payload'] as Uint8Array);
}

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
