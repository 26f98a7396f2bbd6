/** A backup that nobody makes is told of: of a host that is gone, of a home without the schedule, of one that fails. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { listScheduledBackups, noteFailedBackup, noteGoodBackup, writeSchedule } from '../domain/backup-schedules.ts';
import { backupLook } from './backup-look.ts';
import { tellConditions } from './conditions.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test' });
after(async () => await db.end({ timeout: 5 }));

const hours = (number: number) => new Date(Date.now() + number * 3_600_000);
const schedule = {
  host: 'berlin',
  daily: '02:30',
  zone: 'Europe/Berlin',
  folder: '/mnt',
  keep: 7,
  verifies: true,
  setBy: 'ada',
};
const told = async () => {
  await tellConditions(db, [backupLook(db)], (_, error) => assert.fail(String(error)));
  const rows = await db<{ kind: string; message: string }[]>`select kind, message from event order by id`;
  await db`truncate event`;
  return rows.map(({ kind, message }) => `${kind}: ${message}`);
};

test('an overdue backup is told once a day, with what is known of why, until there is one again', async () => {
  await db.begin(async (tx) => await writeSchedule(tx, schedule, hours(-2)));
  assert.deepEqual(await told(), []);
  await db`update backup_schedule set due_at = ${hours(-4)}`;
  const [first = '', ...more] = await told();
  assert.match(
    first,
    /^backup-overdue: the backup that berlin was to make at .* is overdue; there has been none yet\./,
  );
  assert.match(first, /Does its supervisor run/);
  assert.deepEqual([more, await told()], [[], []]);
  await noteFailedBackup(db, schedule, 'the disk is full');
  await db`update notice_condition set again_at = now()`;
  assert.match((await told()).join(), /It was tried at .*: the disk is full/);
  await noteGoodBackup(db, { ...schedule, zone: 'UTC' }, '/mnt/a.backup', hours(20));
  assert.deepEqual(await told(), ['backup-caught-up: the backup that berlin was to make is not overdue any more']);
  const [now] = await listScheduledBackups(db);
  assert.deepEqual([now?.overdue, now?.failure, now?.goodFile, now?.zone], [false, null, '/mnt/a.backup', 'UTC']);
});
