/** Server instances and connection services over REST. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { codeOf, startAdministration, whileUpgrading } from '../administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

test('a connection service of several instances is refused, naming what holds it back, until sharing is active', async () => {
  const added = await admin.call('POST', '/connection-services', { name: 'mds-near', instance: 'one' });
  assert.equal(added.status, 201);
  const patch = (body: object) => admin.call('PATCH', '/connection-services/mds-near', body);
  await whileUpgrading(admin, async () => {
    const { status, body } = await patch({ instances: ['one', 'two'] });
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_FEATURE_LOCKED']);
    assert.deepEqual((body as { details: { lockedBy: string[] } }).details.lockedBy, ['old-server', 'upgrade']);
    assert.match((body as { message: string }).message, /old-server, upgrade/);
    const several = { name: 'mds-both', instances: ['one', 'two'] };
    assert.equal(codeOf((await admin.call('POST', '/connection-services', several)).body), 'ERR_FEATURE_LOCKED');
    assert.equal((await patch({ instances: ['two', 'two'] })).status, 200, 'one instance is none too many');
  });
  const shared = (await patch({ instances: ['two', 'one'] })).body as { instances: string[]; instance: string };
  assert.deepEqual([shared.instances, shared.instance], [['one', 'two'], 'one']);
  assert.deepEqual(((await patch({ instance: 'two' })).body as { instances: string[] }).instances, ['two']);
  assert.equal((await patch({ instances: ['two', 'nine'] })).status, 404);
  for (const body of [{ instances: [] }, { instance: 'one', instances: ['one'] }]) {
    assert.deepEqual([(await patch(body)).status, codeOf((await patch(body)).body)], [400, 'ERR_INPUT']);
  }
  assert.equal(codeOf((await admin.call('POST', '/connection-services', { name: 'mds-of-none' })).body), 'ERR_INPUT');
});

test('a new instance gets an SRP credential in its place and a wanted process', async () => {
  const added = await admin.call('POST', '/instances', { name: 'three' });
  assert.equal(added.status, 201);
  const { srpIdentifier, credential } = added.body as { srpIdentifier: string; credential: unknown };
  assert.equal(credential, null);
  const file = JSON.parse(await readFile(join(admin.home, 'credentials', `${srpIdentifier}.json`), 'utf8'));
  assert.equal(file.identifier, srpIdentifier);
  assert.deepEqual(file.routers, [{ host: '127.0.0.1', port: 3101, serverName: 'router.test' }]);
  const [wanted] = await admin.db`select kind, release, state, settings from desired_process where name = 'three'`;
  assert.deepEqual(
    { ...wanted },
    { kind: 'server', release: admin.context.release, state: 'running', settings: { srpIdentifier } },
  );
  assert.equal((await admin.call('POST', '/instances', { name: 'three' })).status, 409);
  assert.equal((await admin.call('POST', '/instances', { name: 'Not Good' })).status, 400);

  const elsewhere = await admin.call('POST', '/connection-services', {
    name: 'mds-far',
    instance: 'one',
    host: 'another-host',
    allowedHosts: ['mail.example.org:993'],
  });
  assert.equal(elsewhere.status, 201);
  assert.ok((elsewhere.body as { credential: { privateKeyPem: string } }).credential.privateKeyPem);

  const list = (await admin.call('GET', `/srp-credentials?identifier=${srpIdentifier}`)).body;
  const [serial] = (list as { credentials: { serial: string }[] }).credentials.map((entry) => entry.serial);
  assert.equal((await admin.call('DELETE', `/srp-credentials/${serial}`)).status, 200);
  assert.equal((await admin.call('DELETE', `/srp-credentials/${serial}`)).status, 409);
  assert.equal((await admin.call('POST', `/srp-credentials/${srpIdentifier}/clear`)).status, 200);
  assert.equal((await admin.call('POST', '/srp-credentials', { identifier: 'S99999999' })).status, 404);
});
