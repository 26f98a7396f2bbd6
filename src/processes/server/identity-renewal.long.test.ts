/** A device renews its identity: when it is told to, what its new identity settles, and what it keeps. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { commandRequest, serializeCommand } from '../../protocol/apple/command.ts';
import { enrolByScep, limited, outcome, type TestDevice } from './device-handler-fixture.ts';
import { createRenewalFixture, renewalFor, served } from './identity-renewal-fixture.ts';

const { stage, ask, turn, ageIdentity, renewing, deliveries, rowOf } = await createRenewalFixture();
after(() => stage.close());

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
