/** What an identity is still good for once a newer one was issued or used, and who else is refused. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { serializeConnect } from '../../protocol/apple/connect.ts';
import { serializeClientCert } from '../../protocol/client-cert-header.ts';
import { until } from '../../testing/condition.ts';
import { aspenConnect, enrolByScep, limited, outcome, type TestIdentity } from './device-handler-fixture.ts';
import { createRenewalFixture, served } from './identity-renewal-fixture.ts';

const { stage, ask, renewing, rowOf } = await createRenewalFixture();
after(() => stage.close());

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
