/** One device’s whole way, over real HTTP: activation, SCEP, check-in, commands; and what it is answered when things go wrong. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type CommandId, newId } from '../../base/ids.ts';
import { openDatabase } from '../../database/connection.ts';
import { queueCommand } from '../../devices/command-queue.ts';
import { serializeCheckin } from '../../protocol/apple/checkin.ts';
import { commandRequest, parseCommand, serializeCommand } from '../../protocol/apple/command.ts';
import { serializeConnect } from '../../protocol/apple/connect.ts';
import type { PlistDictionary } from '../../protocol/plist/value.ts';
import {
  aspenCheckin,
  aspenConnect,
  bytes,
  createDeviceHandlerFixture,
  limited,
  outcome,
  type Reply,
} from './device-handler-fixture.ts';

const devices = await createDeviceHandlerFixture();
const { url, fixture, server, startServer, ask, activate, activeDevice } = devices;
after(devices.close);

const checkOut = serializeCheckin('CheckOut', { UDID: 'x' });

test('a device is activated, certified, checked in, and does and answers its commands', limited, async () => {
  for (const signed of [false, true]) {
    const device = await activeDevice(signed);
    const deviceId = await device.deviceId();
    const owed = await fixture.db`select item from delivery where device_id = ${deviceId} and state = 'owed'`;
    assert.ok(owed.length > 0, 'the activation owes its policy');
    const again = await activate({ account: device.account.name, password: device.account.password });
    assert.deepEqual(outcome(again), [400, 'ERR_ACTIVATION_REFUSED'], 'the password is used up');

    const commandId = newId<CommandId>();
    const query = commandRequest.deviceInformation(['DeviceName']);
    const body = serializeCommand({ commandUuid: commandId, ...query });
    await fixture.db.begin((tx) =>
      queueCommand(tx, { commandId, deviceId, requestType: query.requestType, body, urgent: false }),
    );
    const told = await device.connect({ status: 'Idle' });
    assert.equal(parseCommand(told.body).commandUuid, commandId);
    const payload = { QueryResponses: { DeviceName: 'Anna’s', OSVersion: '18.2' } };
    const done = await device.connect({ status: 'Acknowledged', commandUuid: commandId, payload });
    assert.deepEqual([done.status, done.body.length], [200, 0]);
    const [row] = await fixture.db`select options, inventory, state from device where id = ${deviceId}`;
    assert.deepEqual(
      [row?.['options'], row?.['inventory'], row?.['state']],
      [{ DeviceName: 'Anna’s' }, { DeviceName: 'Anna’s', OSVersion: '18.2' }, 'active'],
    );
    const late = await device.connect({ status: 'Acknowledged', commandUuid: newId<CommandId>() });
    assert.equal(late.status, 200, 'an answer to a command that is not there any more is taken');

    assert.equal((await device.checkin('CheckOut')).status, 200);
    assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [400, 'ERR_NOT_ENROLLED']);
    assert.deepEqual(outcome(await device.checkin('Authenticate')), [400, 'ERR_NOT_ENROLLED']);
  }
});

test('a bootstrap token is given back to the device that left it', limited, async () => {
  const device = await activeDevice();
  await device.checkin('SetBootstrapToken', { BootstrapToken: Buffer.from('kept') });
  const given = await device.checkin('GetBootstrapToken');
  assert.match(given.body.toString(), new RegExp(Buffer.from('kept').toString('base64')));
});

test('a user channel is answered, and gets none of the device’s commands', limited, async () => {
  const device = await activeDevice();
  const deviceId = await device.deviceId();
  const commandId = newId<CommandId>();
  const wanted = { commandId, deviceId, requestType: 'DeviceLock', body: Buffer.from('plist'), urgent: false };
  await fixture.db.begin((tx) => queueCommand(tx, wanted));
  const user = await device.connect({ status: 'Idle', payload: { UserID: 'anna' } });
  assert.deepEqual([user.status, user.body.length], [200, 0]);
  await device.connect({ status: 'Acknowledged', commandUuid: commandId, payload: { UserID: 'anna' } });
  assert.equal((await device.connect({ status: 'Idle' })).body.toString(), 'plist');
});

test('what a device sends wrongly is answered 400, 413 or 415', limited, async () => {
  const device = await activeDevice();
  const other = await activeDevice();
  const idle = serializeConnect({ status: 'Idle', udid: device.udid });
  const connect = device.paths.connect;
  const unknown = `/mdm/${'a'.repeat(43)}`;
  const wrong: [string, () => Promise<Reply>, number, string][] = [
    ['a GET', () => ask(connect, {}), 400, 'ERR_INPUT'],
    ['no plist', () => device.put(connect, aspenConnect, Buffer.from('{}')), 400, 'ERR_CONNECT_MALFORMED'],
    ['too much', () => device.put(connect, aspenConnect, Buffer.alloc(1024 * 1024 + 1)), 413, 'ERR_BODY_TOO_LARGE'],
    ['a large form', () => activate({ account: 'a'.repeat(4096) }), 413, 'ERR_BODY_TOO_LARGE'],
    [
      'a large SCEP message',
      () => ask(`${device.scep}?operation=PKIOperation`, { method: 'POST', body: Buffer.alloc(64 * 1024 + 1) }),
      413,
      'ERR_BODY_TOO_LARGE',
    ],
    ['a broken signature', () => device.put(connect, aspenConnect, idle, { 'mdm-signature': 'AAAA' }), 400, ''],
    ['another’s', () => other.put(connect, aspenConnect, idle), 400, 'ERR_WRONG_IDENTITY'],
    ['another’s check-in', () => other.put(device.paths.checkin, aspenCheckin, checkOut), 400, 'ERR_WRONG_IDENTITY'],
    ['an unknown token', () => device.put(`${unknown}/connect`, aspenConnect, idle), 400, 'ERR_UNKNOWN_DEVICE'],
    ['its check-in', () => device.put(`${unknown}/checkin`, aspenCheckin, checkOut), 400, 'ERR_UNKNOWN_DEVICE'],
    ['another topic', () => device.checkin('Authenticate', { Topic: 'other' }), 400, 'ERR_CHECKIN_REFUSED'],
    ['SCEP bytes', () => ask(`${device.scep}?operation=PKIOperation`, { method: 'POST', body: 'x' }), 400, ''],
    ['a SCEP operation', () => ask(`${device.scep}?operation=Other`, {}), 400, 'ERR_SCEP_OPERATION'],
    ['a form', () => activate({ account: device.account.name }), 400, 'ERR_INPUT'],
    ['a password', () => activate({ account: 'nobody', password: 'x' }), 400, 'ERR_ACTIVATION_REFUSED'],
    ['a GET of it', () => ask('/activate', {}), 405, 'ERR_METHOD'],
    ['another path', () => ask('/mdm/short/connect', { method: 'PUT', body: 'x' }), 404, 'ERR_NOT_FOUND'],
  ];
  for (const [what, send, status, code] of wrong) {
    const reply = await send();
    assert.equal(reply.status, status, `${what}: ${reply.code}`);
    if (code !== '') assert.equal(reply.code, code, what);
  }
});

test('what a stranger sends is not read where reading it would take long', limited, async () => {
  const device = await activeDevice();
  const stranger = await activeDevice();
  const { connect, checkin } = device.paths;
  const unknown = `/mdm/${'a'.repeat(43)}`;
  // Whoever read it would say that it is no property list.
  const large = Buffer.alloc(100_000, 'x');
  const code = async (reply: Promise<Reply>) => (await reply).code;
  assert.equal(await code(device.put(connect, aspenConnect, large)), 'ERR_CONNECT_MALFORMED');
  assert.equal(await code(stranger.put(connect, aspenConnect, large)), 'ERR_WRONG_IDENTITY');
  assert.equal(await code(stranger.put(`${unknown}/connect`, aspenConnect, large)), 'ERR_UNKNOWN_DEVICE');
  assert.equal(await code(device.put(checkin, aspenCheckin, Buffer.from('x'))), 'ERR_CHECKIN_MALFORMED');
  assert.equal(await code(stranger.put(checkin, aspenCheckin, Buffer.from('x'))), 'ERR_WRONG_IDENTITY');
  assert.equal(await code(stranger.put(`${unknown}/checkin`, aspenCheckin, Buffer.from('x'))), 'ERR_UNKNOWN_DEVICE');
});

test('a message is served whatever content type it names, or none: the address says what it is', limited, async () => {
  const device = await activeDevice();
  const { connect, checkin } = device.paths;
  const update = serializeCheckin('TokenUpdate', {
    ...{ UDID: device.udid, Topic: device.facts.topic },
    ...{ Token: Buffer.from('token-2'), PushMagic: 'magic' },
  });
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    aspenCheckin,
    'application/xml; charset=x',
    '',
  ]) {
    const idle = serializeConnect({ status: 'Idle', udid: device.udid });
    assert.equal((await device.put(connect, type, idle)).status, 200, type);
    assert.equal((await device.put(checkin, type, update)).status, 200, type);
  }
  const form = Buffer.from('Status=Idle&UDID=x');
  const wrong = await device.put(connect, 'application/x-www-form-urlencoded', form);
  assert.deepEqual(outcome(wrong), [400, 'ERR_CONNECT_MALFORMED'], 'but it has to be one');
  const none = await ask(connect, { method: 'PUT', headers: {}, body: bytes(form) });
  assert.deepEqual(outcome(none), [400, 'ERR_IDENTITY_MISSING']);
});

test('messages that are not served are answered with the status that tells a device so', limited, async () => {
  const device = await activeDevice();
  for (const [type, fields, status] of [
    ['UserAuthenticate', { UserID: 'anna' }, 410],
    ['DeclarativeManagement', { Endpoint: 'tokens' }, 404],
    ['GetToken', { TokenServiceType: 'com.apple.maid' }, 400],
  ] as const) {
    assert.deepEqual(outcome(await device.checkin(type, fields)), [status, 'ERR_NOT_SERVED'], type);
  }
});

test('a message that names another UDID is refused on every channel, and an event says so', limited, async () => {
  const device = await activeDevice();
  const deviceId = await device.deviceId();
  const refused = [400, 'ERR_ANOTHER_ENROLMENT'];
  assert.deepEqual(outcome(await device.checkin('CheckOut', { UDID: 'another' })), refused);
  const idle = (payload: PlistDictionary) =>
    device.connect({ status: 'Idle', payload: { ...payload, UDID: 'another' } });
  assert.deepEqual(outcome(await idle({})), refused);
  assert.deepEqual(outcome(await idle({ UserID: 'anna' })), refused);
  assert.equal((await device.connect({ status: 'Idle' })).status, 200);
  const events = await fixture.eventsOf(deviceId);
  assert.deepEqual(events, ['device-names-another'], 'once, however often it comes');
});

test('a moved account’s device and activation are sent to the owner; a moving one comes again', limited, async () => {
  const device = await activeDevice();
  const { id, name } = device.account;
  await fixture.mark(id);
  assert.deepEqual(outcome(await device.connect({ status: 'Idle' })), [503, 'ERR_ACCOUNT_MOVING']);
  assert.deepEqual(outcome(await device.checkin('CheckOut')), [503, 'ERR_ACCOUNT_MOVING']);
  await fixture.db`delete from account_mark where account_id = ${id}`;
  await fixture.db`update account set instance_id = ${fixture.there.id}, epoch = epoch + 1 where id = ${id}`;
  const replies = [
    await device.connect({ status: 'Idle' }),
    await device.checkin('CheckOut'),
    await ask(`${device.scep}?operation=PKIOperation`, { method: 'POST', body: 'x' }),
    await activate({ account: name, password: 'x' }),
  ];
  for (const reply of replies) {
    assert.deepEqual([...outcome(reply), reply.owner], [421, 'ERR_NOT_OWNER', fixture.there.srpIdentifier]);
  }
});

test('no device is told to come later while a move holds its account for as long as it may', limited, async () => {
  const device = await activeDevice();
  const patient = await startServer(fixture.db, undefined, 'usual');
  const marked = async () =>
    await fixture.db`
      insert into account_mark (account_id, move_id, until)
      values (${device.account.id}, gen_random_uuid(), clock_timestamp() + interval '1 second')
      on conflict (account_id) do update set until = excluded.until`;
  await marked();
  assert.equal((await device.connect({ status: 'Idle' }, patient.origin)).status, 200);
  await marked();
  const names = { Token: Buffer.from('token'), PushMagic: 'magic' };
  assert.equal((await device.checkin('TokenUpdate', names, patient.origin)).status, 200);
  await patient.close();
});

test('requests count for their account, and a lost database is 503 on every address', limited, async () => {
  const device = await activeDevice();
  await device.connect({ status: 'Idle' });
  await server.samples.flush(fixture.db);
  const samples = async () =>
    await fixture.db`select requests, errors from request_sample where account_id = ${device.account.id}`;
  assert.deepEqual({ ...(await samples())[0] }, { requests: 1, errors: 0 });

  const lost = openDatabase(url, { applicationName: 'lost', max: 1 });
  await lost.end();
  const broken = await startServer(lost);
  const idle = await device.connect({ status: 'Idle' }, broken.origin);
  assert.deepEqual(outcome(idle), [503, 'ERR_INTERNAL']);
  const leaving = await device.put(device.paths.checkin, aspenCheckin, checkOut, {}, broken.origin);
  assert.equal(leaving.status, 503);
  assert.equal((await activate({ account: device.account.name, password: 'x' }, broken.origin)).status, 503);
  await broken.close();
});

test('nothing else of all this was answered 401 or 403, which would make a device leave', () => {
  devices.assertNoneMadeToLeave(50);
});
