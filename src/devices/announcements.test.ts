import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type CommandId, newId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { rotateMasterKeys } from '../database/master-keys-fixture.ts';
import { untilOneWaits, watched } from '../database/waiting-fixture.ts';
import { readAnnouncement } from '../platforms/apple/messages.ts';
import { serializeCheckin, sharedUserId } from '../protocol/apple/checkin.ts';
import { takeAnnouncement } from './announcements.ts';
import { createAnnouncementScene, testTopic } from './announcements-fixture.ts';
import { type DeviceFixture, seedCommand, seedDomain, seedPermits } from './device-fixture.ts';
import { removeDevice } from './device-removal.ts';
import { findDeviceByToken, maxUsersOfDevice } from './device-store.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 6 });
const mover = openDatabase(url, { applicationName: 'mover', max: 1 });
const { here, there } = await seedDomain(db);
after(async () => await Promise.all([db.end(), mover.end()]));

const limited = { timeout: 30_000 };
const topic = testTopic;
const scene = createAnnouncementScene(db, here);
const { keys, activated, send, authenticate, updateToken, newDevice } = scene;

const accepted = { kind: 'done', value: { kind: 'accepted' } };

async function refusalOf(outcome: Awaited<ReturnType<typeof send>>): Promise<string> {
  assert.ok(outcome.kind === 'done' && outcome.value.kind === 'refused', JSON.stringify(outcome));
  return outcome.value.reason;
}

async function row(device: DeviceFixture) {
  const [found] = await db`
    select state, udid, topic, model, os_version, software_version, push_token, push_magic, push_state, unlock_token,
           bootstrap_token, options from device where id = ${device.deviceId}`;
  assert.ok(found);
  return found;
}

test(
  'Authenticate stores what the device says of itself; the first TokenUpdate makes it active, once',
  limited,
  async () => {
    const device = await newDevice('new');
    const facts = { Model: 'iPhone17,1', ModelName: 'iPhone', OSVersion: '18.1', DeviceSoftware: '4.2' };
    assert.deepEqual(await authenticate(device, facts), accepted);
    const { state, udid, model, os_version, software_version } = await row(device);
    assert.deepEqual(
      { state, udid, model, os_version, software_version },
      {
        state: 'authenticated',
        udid: device.enrolment,
        model: 'iPhone',
        os_version: '18.1',
        software_version: '4.2',
      },
    );
    activated.length = 0;
    assert.deepEqual(await updateToken(device), accepted);
    assert.deepEqual(await updateToken(device, { Token: Buffer.from('token-2') }), accepted);
    const active = await row(device);
    assert.deepEqual(
      [active['state'], active['push_magic'], String(active['push_token'])],
      ['active', 'magic', 'token-2'],
    );
    assert.deepEqual(activated, [device.deviceId]);
  },
);

test(
  'what is owed at the activation is in its transaction: when that fails, the device is not active',
  limited,
  async () => {
    const device = await newDevice('failing');
    await authenticate(device);
    const failing = send(
      device,
      'TokenUpdate',
      { Topic: topic, Token: Buffer.from('t'), PushMagic: 'm' },
      { onActivated: async () => Promise.reject(new RangeError('nothing was owed')) },
    );
    await assert.rejects(failing, RangeError);
    assert.equal((await row(device))['state'], 'authenticated');
    assert.deepEqual(await updateToken(device), accepted, 'the device comes again');
    assert.equal((await row(device))['state'], 'active');
  },
);

test('a TokenUpdate wakes a device up again that push had given up', limited, async () => {
  const device = await newDevice('waiting', 'active');
  await db`update device set push_state = 'wait-for-token' where id = ${device.deviceId}`;
  await updateToken(device);
  assert.equal((await row(device))['push_state'], 'ok');
});

test(
  'when a certificate replaces the topic, a device goes on with its own until it enrols again',
  limited,
  async () => {
    const device = await newDevice('topic');
    const fresh = await newDevice('fresh-topic');
    await authenticate(device);
    await updateToken(device);
    await db`update domain set push_topic = 'com.apple.mgmt.External.real'`;
    try {
      assert.deepEqual(await updateToken(device), accepted);
      assert.match(await refusalOf(await authenticate(device)), /wake channel/);
      assert.match(await refusalOf(await authenticate(fresh)), /wake channel/);
      assert.deepEqual(await authenticate(device, { Topic: 'com.apple.mgmt.External.real' }), accepted);
      assert.deepEqual(await updateToken(device, { Topic: 'com.apple.mgmt.External.real' }), accepted);
    } finally {
      await db`update domain set push_topic = ${topic}`;
    }
  },
);

test('messages out of order and of other topics are refused and change nothing', limited, async () => {
  const device = await newDevice('order');
  const before = await row(device);
  assert.match(await refusalOf(await updateToken(device)), /before it enrolled/);
  assert.match(await refusalOf(await authenticate(device, { Topic: 'com.other' })), /wake channel/);
  assert.match(await refusalOf(await updateToken(device, { Topic: 'com.other' })), /wake channel/);
  assert.match(await refusalOf(await updateToken(device, { UserID: 'user' })), /not active/);
  assert.deepEqual(await row(device), before);
});

test('a user channel has tokens of its own, and leaves without its device', limited, async () => {
  const device = await newDevice('shared', 'active');
  const users = () => usersOf(device);
  await updateToken(device, { UserID: 'anna', PushMagic: 'a' });
  await updateToken(device, { UserID: 'berta', PushMagic: 'b' });
  await updateToken(device, { UserID: 'anna', PushMagic: 'a2' });
  assert.deepEqual(await users(), [
    ['anna', 'a2'],
    ['berta', 'b'],
  ]);
  assert.equal((await row(device))['push_magic'], null, 'the device channel’s is another');
  assert.deepEqual(await send(device, 'CheckOut', { UserID: 'anna' }), accepted);
  assert.deepEqual([await users(), (await row(device))['state']], [[['berta', 'b']], 'active']);
});

test('CheckOut ends the device, its commands and its deliveries, and gives their permits back', limited, async () => {
  const device = await newDevice('leaving', 'active');
  const stays = await newDevice('stays', 'active');
  await seedPermits(db, 'domain', 2);
  const gone = await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
  const kept = await seedCommand(db, stays, { budgeted: true, item: 'it-policy' });
  await db`update delivery_permit set delivery_id = ${gone.deliveryId} where number = 1`;
  await db`update delivery_permit set delivery_id = ${kept.deliveryId} where number = 2`;
  assert.deepEqual(await send(device, 'CheckOut', { Topic: topic }), accepted);
  assert.equal((await row(device))['state'], 'gone');
  const states = await db`
    select c.state, d.state as delivery, p.number as permit from command c join delivery d on d.id = c.delivery_id
      left join delivery_permit p on p.delivery_id = d.id
     where c.id in (${gone.commandId}, ${kept.commandId}) order by c.state`;
  assert.deepEqual(
    states.map((each) => ({ ...each })),
    [
      { state: 'cancelled', delivery: 'failed', permit: null },
      { state: 'queued', delivery: 'released', permit: 2 },
    ],
  );
  assert.deepEqual(await send(device, 'CheckOut', { Topic: topic }), accepted, 'a lost answer costs nothing');
});

test(
  'a bootstrap token lies sealed, comes back also after the key was rotated, and can be taken away',
  limited,
  async () => {
    const device = await newDevice('bootstrap', 'active');
    const none = { kind: 'done', value: { kind: 'kept-secret', secret: null } };
    assert.deepEqual(await send(device, 'GetBootstrapToken'), none);
    const token = Buffer.from('the bootstrap token');
    assert.deepEqual(await send(device, 'SetBootstrapToken', { BootstrapToken: token }), accepted);
    assert.ok(!Buffer.from((await row(device))['bootstrap_token']).includes(token));
    const rotated = { keys: rotateMasterKeys(keys) };
    const given = await send(device, 'GetBootstrapToken', {}, rotated);
    assert.deepEqual(given, { kind: 'done', value: { kind: 'kept-secret', secret: token } });

    const thief = await newDevice('thief', 'active');
    await db`
    update device t set bootstrap_token = o.bootstrap_token, bootstrap_token_key = o.bootstrap_token_key
      from device o where t.id = ${thief.deviceId} and o.id = ${device.deviceId}`;
    await assert.rejects(send(thief, 'GetBootstrapToken'), { code: 'ERR_SEALED_VALUE' });

    assert.deepEqual(await send(device, 'SetBootstrapToken', { BootstrapToken: Buffer.alloc(0) }), accepted);
    assert.deepEqual(await send(device, 'GetBootstrapToken'), none);
  },
);

test('an unlock token lies sealed and stays until another one comes or the device enrols anew', limited, async () => {
  const device = await newDevice('unlock', 'active');
  const unlock = Buffer.from('the unlock token');
  await updateToken(device, { UnlockToken: unlock });
  const stored: unknown = (await row(device))['unlock_token'];
  assert.ok(Buffer.isBuffer(stored) && !stored.includes(unlock));
  await updateToken(device);
  assert.deepEqual((await row(device))['unlock_token'], stored);
  await authenticate(device);
  assert.equal((await row(device))['unlock_token'], null);
});

for (const left of ['active', 'authenticated', 'gone'] as const) {
  test(
    `a new enrolment takes over the device options of an earlier one that was ${left}, and suspends it`,
    limited,
    async () => {
      const before = await newDevice(`before-${left}`, left);
      const udid = before.enrolment;
      await db`update device set options = '{"TimeZone": "Europe/Berlin"}' where id = ${before.deviceId}`;
      await seedPermits(db, `scope-${left}`, 1);
      const open = await seedCommand(db, before, { budgeted: true, item: 'it-policy' });
      await db`update delivery_permit set delivery_id = ${open.deliveryId} where scope = ${`scope-${left}`}`;
      const again = { ...(await newDevice(`again-${left}`)), accountId: before.accountId };
      await db`update device set account_id = ${before.accountId} where id = ${again.deviceId}`;
      assert.deepEqual(await authenticate(again, { UDID: udid }), accepted);
      assert.deepEqual((await row(again))['options'], { TimeZone: 'Europe/Berlin' });
      assert.equal((await row(again))['state'], 'authenticated');
      assert.equal((await scene.enrolled(before)).suspended, left !== 'gone');
      if (left === 'gone') return;
      const [command] = await db`select state from command where id = ${open.commandId}`;
      const held = await db`select 1 from delivery_permit where delivery_id = ${open.deliveryId}`;
      assert.deepEqual([command?.['state'], held.length], ['cancelled', 0]);
    },
  );
}

test('a device that names the UDID of another one learns nothing of that one’s options', limited, async () => {
  const victim = await newDevice('victim', 'active');
  await db`
    update device set options = '{"DeviceName": "victim"}', serial_number = 'F17' where id = ${victim.deviceId}`;
  const elsewhere = await newDevice('elsewhere');
  await authenticate(elsewhere, { UDID: victim.enrolment, SerialNumber: 'F17' });
  assert.deepEqual((await row(elsewhere))['options'], {}, 'of another account');
  const sibling = await newDevice('sibling');
  await db`update device set account_id = ${victim.accountId} where id = ${sibling.deviceId}`;
  await authenticate(sibling, { UDID: victim.enrolment, SerialNumber: 'C02' });
  assert.deepEqual((await row(sibling))['options'], {}, 'of another serial number');
});

test('only Authenticate may name another UDID; what differs in case alone is the same', limited, async () => {
  const device = await newDevice('names', 'active');
  const before = await row(device);
  const refused = { kind: 'done', value: { kind: 'another-enrolment' } };
  for (const names of [{ UDID: 'udid-other' }, { UDID: 'udid-other', UserID: 'anna' }]) {
    assert.deepEqual(await updateToken(device, names), refused);
    assert.deepEqual(await send(device, 'CheckOut', names), refused);
    assert.deepEqual(await send(device, 'GetBootstrapToken', names), refused);
  }
  assert.deepEqual(await row(device), before);
  assert.deepEqual(await updateToken(device, { UDID: device.enrolment.toUpperCase() }), accepted);
  assert.deepEqual(await authenticate(device, { UDID: 'udid-other' }), accepted);
  assert.deepEqual(await updateToken(device, { UDID: 'udid-other' }), accepted);
});

test('the same enrolment that begins anew clears its queue, its deliveries and its users', limited, async () => {
  const device = await newDevice('anew', 'active');
  await updateToken(device, { UserID: 'anna' });
  await send(device, 'SetBootstrapToken', { BootstrapToken: Buffer.from('b') });
  const { commandId, deliveryId } = await seedCommand(db, device, { item: 'it-policy' });
  await authenticate(device);
  const [command] = await db`select state from command where id = ${commandId}`;
  const [delivery] = await db`select state from delivery where id = ${deliveryId}`;
  assert.equal(command?.['state'], 'cancelled');
  assert.ok(!['owed', 'released', 'handed-out', 'suspect'].includes(delivery?.['state']));
  assert.equal((await db`select 1 from device_user where device_id = ${device.deviceId}`).length, 0);
  assert.equal((await row(device))['bootstrap_token'], null);
});

test('an enrolment that was ended while its Authenticate was on the way does not begin again', limited, async () => {
  const device = await newDevice('ended', 'active');
  const before = await scene.enrolled(device);
  const command = { commandId: newId<CommandId>(), requestType: 'RemoveProfile', body: Buffer.from('remove') };
  await db.begin((tx) => removeDevice(tx, { deviceId: device.deviceId, tell: false, command }));
  const message = readAnnouncement(serializeCheckin('Authenticate', { UDID: device.enrolment, Topic: topic }));
  assert.equal(await refusalOf(await takeAnnouncement(scene.options, before, message)), 'the enrolment has ended');
  assert.equal((await row(device))['state'], 'gone');
});

test('messages that are not served change nothing, and are answered so that a device knows', limited, async () => {
  const device = await newDevice('unserved', 'active');
  const before = await row(device);
  for (const [type, fields, status] of [
    ['UserAuthenticate', { UserID: 'anna' }, 410],
    ['DeclarativeManagement', { Endpoint: 'tokens' }, 404],
    ['GetToken', { TokenServiceType: 'com.apple.maid' }, 400],
  ] as const) {
    const outcome = await send(device, type, fields);
    assert.ok(outcome.kind === 'done' && outcome.value.kind === 'not-served', type);
    assert.equal(outcome.value.status, status, type);
  }
  assert.deepEqual(await row(device), before);
});

const usersOf = async (device: DeviceFixture) =>
  (await db`select user_id, push_magic from device_user where device_id = ${device.deviceId} order by user_id`).map(
    (user) => [user['user_id'], user['push_magic']],
  );

test('the users of a Shared iPad are told apart by their short names', limited, async () => {
  const device = await newDevice('ipad', 'active');
  await db`
    insert into device_user (device_id, user_id, push_token, push_magic)
    values (${device.deviceId}, ${sharedUserId}, 'x', 'whoever wrote last under 1.1')`;
  const user = (UserShortName: string) => ({ UserID: sharedUserId.toLowerCase(), UserShortName });
  await updateToken(device, { ...user('anna'), PushMagic: 'a' });
  await updateToken(device, { ...user('berta'), PushMagic: 'b' });
  assert.deepEqual(await usersOf(device), [
    [`${sharedUserId}/anna`, 'a'],
    [`${sharedUserId}/berta`, 'b'],
  ]);
  assert.deepEqual(await send(device, 'CheckOut', user('anna')), accepted);
  assert.deepEqual(await usersOf(device), [[`${sharedUserId}/berta`, 'b']]);
  assert.equal((await row(device))['state'], 'active');
});

test('a device has so many users at most; beyond, the one heard longest ago goes', limited, async () => {
  const device = await newDevice('crowded', 'active');
  await db`
    insert into device_user (device_id, user_id, push_token, push_magic, updated_at)
    select ${device.deviceId}, 'user-' || lpad(n::text, 4, '0'), 'x', 'm', now() - make_interval(days => n)
      from generate_series(1, ${maxUsersOfDevice + 10}) n`;
  await updateToken(device, { UserID: 'new' });
  const users = (await usersOf(device)).map(([id]) => id);
  assert.equal(users.length, maxUsersOfDevice);
  assert.deepEqual([users[0], users.at(-1)], ['new', `user-${String(maxUsersOfDevice - 1).padStart(4, '0')}`]);
});

test(
  'a moved account’s device is answered with the owner, by whatever message, and nothing is written',
  limited,
  async () => {
    const device = await newDevice('moved', 'active');
    await db`update account set instance_id = ${there} where id = ${device.accountId}`;
    const before = await row(device);
    const elsewhere = { kind: 'not-owner', owner: 'S10000002' };
    assert.deepEqual(await authenticate(device), elsewhere);
    assert.deepEqual(await updateToken(device), elsewhere);
    assert.deepEqual(await send(device, 'CheckOut'), elsewhere);
    assert.deepEqual(await send(device, 'SetBootstrapToken', { BootstrapToken: Buffer.from('b') }), elsewhere);
    assert.deepEqual(await send(device, 'GetBootstrapToken'), elsewhere);
    assert.deepEqual(await row(device), before);
  },
);

test('a check-in that began before a move committed writes nothing after it', limited, async () => {
  const device = await newDevice('moving', 'active');
  await seedCommand(db, device);
  const leaving = await mover.begin(async (tx) => {
    await tx`update account set instance_id = ${there}, epoch = epoch + 1 where id = ${device.accountId}`;
    const waiting = watched(send(device, 'CheckOut'));
    assert.ok(await untilOneWaits(db, waiting.settled));
    return waiting;
  });
  assert.deepEqual(await leaving.result, { kind: 'not-owner', owner: 'S10000002' });
  assert.equal((await row(device))['state'], 'active');
});

test('no token is not found, and neither is another one', limited, async () => {
  assert.equal(await findDeviceByToken(db, ''), 'not-found');
  assert.equal(await findDeviceByToken(db, newId<CommandId>()), 'not-found');
});
