/** A domain leaves its embedded PostgreSQL: the same devices are served out of the external one. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import postgres from 'postgres';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { startDomain } from '../harness/domain.ts';
import { assertNothingLost, untilServed } from '../harness/evidence.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { activeDevices, commandJson, queue } from '../harness/scene.ts';

interface Exported {
  tables: number;
  rows: number;
  copySeconds: number;
}

test('a domain is moved to an external database, rehearsed first, and goes on there', {
  timeout: 400_000,
}, async () => {
  const { file: archive } = await workingTreeArchive();
  const folder = await mkdtemp(join(tmpdir(), 'bramble-export-'));
  after(async () => await rm(folder, { recursive: true, force: true }));
  let domain = await startDomain({ archive, instances: 1 });
  after(async () => await domain.stop());
  await configureDomain(domain, '127.0.0.1:9');
  const journal = join(folder, 'journal.ndjson');
  const fleet = await enrolFleet(domain, { devices: 4, accounts: 4, seed: 'export', interval: '500ms', journal });
  after(async () => await fleet.stop());

  const { url } = await createTestDatabase({ prepareTemplate: async () => {}, templateKey: 'empty' });
  const exportTo = async (...args: string[]) => await domain.command('database', 'export', '--database-url', ...args);
  const rehearsed = await commandJson<Exported>(domain, 'database', 'export', '--database-url', url, '--rehearse');
  assert.ok(rehearsed.rows > 100, String(rehearsed.rows));
  const running = await exportTo(url);
  assert.match(running.stderr, /stop it first.*ERR_ALREADY_RUNNING/s);
  const devices = await activeDevices(domain, ['user-0001', 'user-0002', 'user-0003', 'user-0004']);
  await untilServed(domain, fleet);

  await domain.stop({ keep: true });
  const { home } = domain;
  after(async () => await rm(home, { recursive: true, force: true }));
  const before = await readFile(join(home, 'config.json'), 'utf8');
  const { url: taken } = await createTestDatabase({
    prepareTemplate: async (template) => {
      const sql = postgres(template, { max: 1 });
      await sql`create table other (of integer)`;
      await sql.end();
    },
    templateKey: 'with another table',
  });
  assert.match((await exportTo(taken)).stderr, /1 tables and other things are in it.*ERR_DATABASE_TARGET/s);
  assert.equal((await exportTo(new URL('/nothing-there', url).href)).code, 1);
  assert.equal(await readFile(join(home, 'config.json'), 'utf8'), before);

  const exported = await commandJson<Exported>(domain, 'database', 'export', '--database-url', url);
  assert.ok(exported.rows >= rehearsed.rows && exported.tables === rehearsed.tables);
  const sql = postgres(url, { max: 1 });
  const [placed] = await sql`select count(*)::int as count from event where transaction is not null`;
  await sql.end();
  assert.equal(placed?.['count'], 0, 'numbers of transactions are those of the former server');
  const { database } = JSON.parse(await readFile(join(home, 'config.json'), 'utf8'));
  assert.deepEqual(database, { url });
  assert.equal(await readFile(join(home, 'postgres', 'before-export', 'config.json'), 'utf8'), before);
  const again = await exportTo(url);
  assert.match(again.stderr, /external database already.*ERR_CONFIGURATION/s);

  domain = await startDomain({ archive, home });
  await untilServed(domain, fleet);
  const commands = [];
  for (const device of devices) commands.push(await queue(domain, device.id));
  assert.equal(commands.length, 4);
  await assertNothingLost(domain, fleet, { enqueued: commands });
  const { stdout } = await domain.command('audit', 'verify', '--json');
  assert.equal((JSON.parse(stdout) as { faults: number }).faults, 0);
});
