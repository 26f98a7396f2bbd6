/** The removal of a device over REST. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { readDomain } from '../../../domain/domain.ts';
import { parseCommand } from '../../../protocol/apple/command.ts';
import { startAdministration } from '../administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

test('a device is removed, told or silently, as often as one likes, and the list says how it stands', async () => {
  await admin.call('POST', '/accounts', { name: 'rem', instance: 'one' });
  const id = randomUUID();
  await admin.db`
    insert into device (id, account_id, token, platform, state, scep_challenge)
    select ${id}, id, 'token-rem', 'apple', 'active', 'c' from account where name = 'rem'`;
  const told = await admin.call('DELETE', `/devices/${id}`);
  const { state, commandUuid, endsAt } = told.body as { state: string; commandUuid: string; endsAt: string };
  assert.deepEqual([told.status, state], [200, 'leaving']);
  assert.ok(new Date(endsAt).getTime() > Date.now());
  assert.deepEqual((await admin.call('DELETE', `/devices/${id}`)).body, told.body, 'the same command');
  const { commands } = (await admin.call('GET', `/devices/${id}/commands`)).body as { commands: object[] };
  assert.equal(commands.length, 1);
  const [command] = await admin.db<{ body: Buffer; urgent: boolean }[]>`
    select body, urgent from command where id = ${commandUuid}`;
  const { domainId } = await readDomain(admin.db);
  assert.equal(command?.urgent, true);
  assert.equal(parseCommand(command.body).fields['Identifier'], `bramble.${domainId}.enrollment`);
  const listed = async (of: string) =>
    ((await admin.call('GET', `/devices?account=rem&state=${of}`)).body as { devices: { id: string }[] }).devices
      .length;
  assert.deepEqual([await listed('leaving'), await listed('active')], [1, 0]);
  assert.equal((await admin.call('POST', `/devices/${id}/resend`, { item: 'it-policy' })).status, 409);

  const ended = { state: 'gone', commandUuid: null, endsAt: null, toldWhenItComes: false };
  for (let round = 0; round < 2; round++) {
    assert.deepEqual((await admin.call('DELETE', `/devices/${id}?tell=false`)).body, ended);
  }
  assert.deepEqual((await admin.call('DELETE', `/devices/${id}`)).body, { ...ended, toldWhenItComes: true });
  assert.equal((await admin.call('DELETE', `/devices/${randomUUID()}`)).status, 404);
  const events = await admin.db`select 1 from event where kind = 'device-removed' and subject = ${id}`;
  assert.ok(events.length > 0);
});
