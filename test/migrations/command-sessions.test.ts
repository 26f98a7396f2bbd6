/**
 * Sessions and unanswered hand-outs (1.2) beside instances of 1.1 on the same rows: what 1.1 hands out and settles, 1.2 goes
 * on with, and the other way round. The statements of 1.1 stand here as 1.1.0 sends them, for one device.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { CommandId } from '../../src/base/ids.ts';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import type { ConnectRequest } from '../../src/devices/connect-request.ts';
import { connectDevices } from '../../src/devices/connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain } from '../../src/devices/device-fixture.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
after(async () => await db.end());
const { here } = await seedDomain(db);

/** As 1.1.0 chooses and hands out, and records an answer: by state and sequence alone. */
const release11 = {
  handOut: `
    with first_command as materialized (
      select c.id from command c
       where c.device_id = $1 and c.state in ('queued', 'sent', 'not-now')
         and c.id is distinct from $2 and ($3 = 'idle' or c.state = 'queued')
       order by c.urgent desc, c.sequence limit 1)
    update command c
       set state = 'sent', sent_at = clock_timestamp(), sent_count = c.sent_count + 1, sent_instance = $4, sent_epoch = 1
      from first_command f where c.id = f.id and c.state in ('queued', 'sent', 'not-now')
    returning c.id`,
  answer: `
    update command c
       set state = case $2 when 'done' then 'acknowledged' when 'later' then 'not-now' else 'error' end,
           answered_at = clock_timestamp(), answered_instance = $3, answered_epoch = 1, answer = '{}'
     where c.id = $1 and c.state in ('queued', 'sent', 'not-now')`,
} as const;

type Status = ConnectRequest['status'];
const old = async (device: DeviceFixture, status: Status, commandId: CommandId | null) => {
  if (commandId !== null) await db.unsafe(release11.answer, [commandId, status, here]);
  const [row] = await db.unsafe(release11.handOut, [device.deviceId, commandId, status, here]);
  return (row?.['id'] as CommandId | undefined) ?? null;
};
const current = async (
  { token, fingerprint, enrolment }: DeviceFixture,
  status: Status,
  commandId: CommandId | null,
) => {
  const nothing = { answer: null, inventory: null, options: null };
  const request = { token, fingerprint, enrolment, overTls: true, status, commandId, ...nothing };
  const [outcome] = await connectDevices(db, here, [request]);
  assert.ok(outcome?.kind === 'served');
  return outcome.commandId;
};

test('a session that began at 1.1 goes on at 1.2 without a command twice, and the next Idle gets what was put off', async () => {
  const device = await seedDevice(db, here, 'began-at-11');
  const ids: CommandId[] = [];
  for (let count = 0; count < 3; count++) ids.push((await seedCommand(db, device)).commandId);
  const [first, second, third] = ids as [CommandId, CommandId, CommandId];
  assert.equal(await old(device, 'idle', null), first);
  assert.equal(await old(device, 'later', first), second);
  assert.equal(await current(device, 'done', second), third, 'the one that was not tried yet');
  assert.equal(await current(device, 'done', third), null, 'not the first again in this session');
  assert.equal(await current(device, 'idle', null), first);
});

test('what 1.2 put off or counted, 1.1 hands out and settles as ever, and 1.2 takes it up again', async () => {
  const device = await seedDevice(db, here, 'back-to-11');
  const { commandId } = await seedCommand(db, device);
  assert.equal(await current(device, 'idle', null), commandId);
  assert.equal(await current(device, 'later', commandId), null);
  assert.equal(await old(device, 'idle', null), commandId);
  for (let times = 0; times < 10; times++) assert.equal(await current(device, 'idle', null), commandId);
  assert.equal(await old(device, 'idle', null), commandId, 'counted ten times, and pending to 1.1');
  await old(device, 'done', commandId);
  assert.equal(await current(device, 'idle', null), null);
  const [row] = await db`select state from command where id = ${commandId}`;
  assert.equal(row?.['state'], 'acknowledged');
});
