/** How devices prove who they are, over real HTTP: by signature, in TLS, through a proxy; and what is noted of it. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type CommandId, newId } from '../../base/ids.ts';
import { serializeCheckin } from '../../protocol/apple/checkin.ts';
import { serializeConnect } from '../../protocol/apple/connect.ts';
import { serializeClientCert } from '../../protocol/client-cert-header.ts';
import {
  aspenCheckin,
  aspenConnect,
  bytes,
  createDeviceHandlerFixture,
  limited,
  outcome,
  type TestDevice,
} from './device-handler-fixture.ts';

const devices = await createDeviceHandlerFixture();
const { fixture, server, startServer, ask, activeDevice } = devices;
after(devices.close);

/** The same message by signature alone, with the certificate in TLS as the router names it, and through a proxy. */
function waysOf(device: TestDevice) {
  const certificate = { 'client-cert': serializeClientCert(device.certificateDer) };
  const idle = serializeConnect({ status: 'Idle', udid: device.udid });
  const by = (headers: Record<string, string>, body = idle, origin?: string) =>
    device.put(device.paths.connect, aspenConnect, body, headers, origin);
  return {
    signed: (body?: Buffer, origin?: string) => by({ 'x-way': 'link' }, body, origin),
    tls: (origin?: string) => by({ 'x-way': 'link', ...certificate }, idle, origin),
    proxy: () => by({ 'x-way': 'proxy' }),
    bootstrap: (headers: Record<string, string>, origin?: string) =>
      device.put(
        device.paths.checkin,
        aspenCheckin,
        serializeCheckin('GetBootstrapToken', { UDID: device.udid }),
        headers,
        origin,
      ),
    certificate,
  };
}

test('a certificate in a header counts only where the way that it came is trusted', limited, async () => {
  const device = await activeDevice();
  const body = bytes(serializeConnect({ status: 'Idle', udid: device.udid }));
  const headers = { 'content-type': aspenConnect, 'client-cert': serializeClientCert(device.certificateDer) };
  const untrusted = await ask(device.paths.connect, { method: 'PUT', headers, body });
  assert.deepEqual(outcome(untrusted), [400, 'ERR_IDENTITY_MISSING']);
  const trusted = await ask(device.paths.connect, { method: 'PUT', headers: { ...headers, 'x-way': 'link' }, body });
  assert.equal(trusted.status, 200);
  const other = await activeDevice();
  const both = { 'client-cert': serializeClientCert(other.certificateDer), 'x-way': 'link' };
  const two = await device.put(device.paths.connect, aspenConnect, Buffer.from(body), both);
  assert.deepEqual(outcome(two), [400, 'ERR_IDENTITY_MISMATCH']);
});

test('messages by signature alone that repeat are counted; Idle, and what came in TLS, is not', limited, async () => {
  const device = await activeDevice();
  const deviceId = await device.deviceId();
  await server.identityUse.flush();
  const repeats = async () => {
    await server.identityUse.flush();
    const [row] = await fixture.db`select repeats::int from device_repeat where device_id = ${deviceId}`;
    return row?.['repeats'];
  };
  const { signed, tls, bootstrap, certificate } = waysOf(device);
  for (let round = 0; round < 3; round++) {
    await signed();
    await tls();
    await bootstrap({ 'x-way': 'link', ...certificate });
  }
  assert.equal(await repeats(), 0);
  const answer = serializeConnect({ status: 'Acknowledged', udid: device.udid, commandUuid: newId<CommandId>() });
  for (let round = 0; round < 3; round++) await signed(answer);
  assert.equal(await repeats(), 2, 'within a second');
  await signed(answer);
  await bootstrap({});
  assert.equal(await repeats(), 3, 'and later');
});

test('a signature of another day is served, and an event says so once', limited, async () => {
  const device = await activeDevice();
  const idle = serializeConnect({ status: 'Idle', udid: device.udid });
  const hour = 3_600_000;
  for (const agoMs of [0, 23 * hour, -23 * hour]) {
    assert.equal((await device.signedAt(new Date(Date.now() - agoMs), idle)).status, 200);
  }
  for (const agoMs of [25 * hour, -25 * hour, 10_000 * hour]) {
    assert.equal((await device.signedAt(new Date(Date.now() - agoMs), idle)).status, 200);
  }
  assert.deepEqual(await fixture.eventsOf(await device.deviceId()), ['device-clock-differs']);
});

test(
  'once the feature is active, TLS is required of devices that used it on three days, and for bootstrap tokens',
  limited,
  async () => {
    const device = await activeDevice();
    const deviceId = await device.deviceId();
    const { signed, tls, proxy, bootstrap, certificate } = waysOf(device);
    const usedOnTwoDays = () =>
      fixture.db`update device set tls_days = 2, tls_day = current_date - 1 where id = ${deviceId}`;
    await usedOnTwoDays();
    await tls();
    await server.identityUse.flush();
    assert.equal((await signed()).status, 200, 'the upgrade is not finalized');
    assert.equal((await bootstrap({ 'x-way': 'link' })).status, 200);

    await fixture.db`update domain set feature_level = '1.2.0'`;
    const finalized = await startServer(fixture.db);
    try {
      await usedOnTwoDays();
      await proxy();
      await finalized.identityUse.flush();
      assert.equal((await signed(undefined, finalized.origin)).status, 200, 'what a proxy saw is no day');
      assert.equal((await tls(finalized.origin)).status, 200);
      await finalized.identityUse.flush();
      const refused = [400, 'ERR_TLS_IDENTITY_REQUIRED'];
      assert.deepEqual(outcome(await signed(undefined, finalized.origin)), refused);
      const checkout = serializeCheckin('CheckOut', { UDID: device.udid });
      assert.deepEqual(outcome(await device.put(device.paths.checkin, aspenCheckin, checkout)), refused);
      assert.equal((await tls(finalized.origin)).status, 200);
      assert.equal((await proxy()).status, 200, 'a proxy that ends TLS cannot show it');

      const other = waysOf(await activeDevice());
      const token = (headers: Record<string, string>) =>
        other.bootstrap({ 'x-way': 'link', ...headers }, finalized.origin);
      assert.deepEqual(outcome(await token({})), refused);
      assert.equal((await token(other.certificate)).status, 200);
      assert.equal((await bootstrap({ 'x-way': 'link', ...certificate }, finalized.origin)).status, 200);
      assert.ok((await fixture.eventsOf(deviceId)).includes('device-without-tls'));
    } finally {
      await finalized.close();
      await fixture.db`update domain set feature_level = '1.1.0'`;
    }
  },
);

test('nothing else of all this was answered 401 or 403, which would make a device leave', () => {
  devices.assertNoneMadeToLeave(20);
});
