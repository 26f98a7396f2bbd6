/** The checks that look at the domain as it is, each where there is nothing to find and where there is. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { budgetSchema } from '../../../api/budget.ts';
import { type UpgradePlan, upgradePlanSchema } from '../../../api/upgrade-plan.ts';
import type { InstanceId } from '../../../base/ids.ts';
import { openDatabase } from '../../../database/connection.ts';
import { createTestDatabase } from '../../../database/database-fixture.ts';
import { createMasterKeys } from '../../../database/sealed-value.ts';
import { seedDevice } from '../../../devices/device-fixture.ts';
import { createAuthorities } from '../../../domain/authority-creation.ts';
import { writeSetting } from '../../../domain/settings.ts';
import { createAuthority } from '../../../protocol/x509/certificate.ts';
import { insertTestDomain, insertTestInstance, insertTestProcess } from '../../steps/domain-fixture.ts';
import { checkCertificates } from './certificate-checks.ts';
import { checkClocks } from './clock-checks.ts';
import { checkBackfills } from './database-checks.ts';
import { checkOpenDeliveries } from './delivery-checks.ts';
import { checkDiskRoom, checkHosts } from './host-checks.ts';
import { checkConnections, checkLongTransactions, listLongTransactions, sessionsNeeded } from './session-checks.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test', max: 4 });
const home = await mkdtemp(join(tmpdir(), 'bramble-checks-'));
after(async () => {
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});
await insertTestDomain(db);
const east = await insertTestInstance(db, { name: 'east', accounts: 0 });
const device = await seedDevice(db, east.id as InstanceId, 'ada');
await createAuthorities(db, createMasterKeys(), { name: 'test' });

const planOf = (plan: object): { plan: UpgradePlan } => ({ plan: upgradePlanSchema.parse({ options: {}, ...plan }) });
const newInstances = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    ...{ name: `new-${index}`, replaces: 'east', host: 'here' },
    connectionServices: [{ name: `mds-${index}`, replaces: 'east-mds' }],
  }));

test('a plan that moves accounts to an emptied instance on a host that is being drained is stopped with what to do', async () => {
  const looks = async () => {
    const options = { db, host: 'here', release: '1.1.0' };
    const reused = { name: 'west', replaces: 'east', host: 'there', origin: 'reused' };
    return await checkHosts(options, planOf({ instances: [reused] }));
  };
  assert.equal((await looks()).result, 'passed');
  await db`insert into host (name, public_key, administers, draining_since) values ('there', '', false, now())`;
  const { result, message } = await looks();
  assert.equal(result, 'error');
  assert.match(
    message,
    /drained: west on there\. Let it be used again \(`bramble host drain there --off`\), which is enough/,
  );
  await db`delete from host`;
});

test('a host that does not get the release is named with where the reason stands, and what to do', async () => {
  await db`insert into host (name, public_key, administers) values ('there', '', false)`;
  const looks = async () => await checkHosts({ db, host: 'here', release: '1.1.0' }, planOf({}));
  assert.match((await looks()).message, /^there joined the domain and was never started.*`bramble up` there/);
  await db`insert into supervisor (host, release, process_id, node_version, postgres_server) values ('there', '1.1.0', 1, '', '')`;
  const { result, message } = await looks();
  assert.equal(result, 'error');
  assert.match(
    message,
    /1\.1\.0 is not on there yet\. .*log of the supervisor there.*`bramble release install ARCHIVE`/,
  );
  await db`insert into host_release (host, release) values ('there', '1.1.0')`;
  assert.equal((await looks()).result, 'passed');
  await db`delete from host_release`;
  await db`delete from supervisor`;
  await db`delete from host`;
});

test('a host whose supervisor has ended is named at once, though its last report is recent', async () => {
  await db`insert into host (name, public_key, administers) values ('there', '', false)`;
  await db`insert into host_release (host, release) values ('there', '1.1.0')`;
  await db`insert into supervisor (host, release, process_id, node_version, postgres_server) values ('there', '1.0.0', 1, '', '')`;
  await insertTestProcess(db, { name: 'router-2', kind: 'router', release: '1.0.0', host: 'there' });
  const looks = async () => await checkHosts({ db, host: 'here', release: '1.1.0' }, planOf({}));
  const { result, message } = await looks();
  assert.equal(result, 'error');
  assert.match(message, /^The supervisors of there have ended .*`bramble up` there/);
  const supervisor = openDatabase(url, { applicationName: 'bramble/supervisor@there#1', max: 1 });
  await supervisor`select 1`;
  assert.equal((await looks()).result, 'passed');
  await supervisor.end();
  await db`delete from desired_process where host = 'there'`;
  await db`delete from component where host = 'there'`;
  await db`delete from host_release`;
  await db`delete from supervisor`;
  await db`delete from host`;
});

test('sessions are counted for what the plan adds, and more than the database has left are warned of', async () => {
  const [one, two] = [1, 2].map((count) => sessionsNeeded(planOf({ instances: newInstances(count) })));
  assert.deepEqual([one, two], [15 + 5 + 3, 2 * (15 + 5) + 3]);
  const replacements = ['a', 'b'].map((name) => ({ name, host: 'here', processes: [name], wave: 1 }));
  assert.equal(sessionsNeeded(planOf({ inPlace: true, replacements })), 15 + 3, 'one at a time of each host');
  assert.equal((await checkConnections({ db }, planOf({}))).result, 'passed');
  const tooMany = await checkConnections({ db }, planOf({ instances: newInstances(500) }));
  assert.equal(tooMany.result, 'warning');
  assert.match(tooMany.message, /opens up to 10003 more\..* Raise max_connections/);
});

test('a transaction that has been open for long is named with how to end it', async () => {
  assert.equal((await checkLongTransactions({ db })).result, 'passed');
  await db.begin(async (tx) => {
    const [own] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
    const found = await listLongTransactions(db, 0);
    const mine = found.find(({ end }) => end === `select pg_terminate_backend(${own?.pid})`);
    assert.match(mine?.who ?? '', /^bramble\/test \(database process \d+, idle in transaction\)$/);
  });
});

test('a backfill that has not ended, and a half-built index, are warned of', async () => {
  assert.equal((await checkBackfills({ db })).result, 'passed');
  await db`update migration set backfilled_at = null where number = 7`;
  await db`create unique index half_built on device (platform)`;
  await db`update pg_index set indisvalid = false where indexrelid = 'half_built'::regclass`;
  const { result, message } = await checkBackfills({ db });
  assert.equal(result, 'warning');
  assert.match(message, /the backfill of 007-connection-service-instances, the index half_built, which is half-built/);
  await db`update migration set backfilled_at = now() where number = 7`;
  await db`drop index half_built`;
});

test('certificates that end soon are named: authorities, credentials, and identities of devices that are there', async () => {
  const check = async () => await checkCertificates({ db, home, host: 'here' });
  assert.deepEqual(await check(), {
    ...{ result: 'passed' },
    message: 'no certificate of the domain, of its routers or of its devices ends soon',
  });
  await db`update device set identity_expires_at = now() + interval '20 days', last_seen_at = now() - interval '40 days'`;
  const away = await check();
  assert.equal(away.result, 'passed', 'a device that is away holds up nothing');
  assert.match(away.message, /identities of 1 device that did not connect for 7 days do$/);
  await db`update device set last_seen_at = now()`;
  const { certificateDer } = await createAuthority({ commonName: 'short', days: 10, algorithm: 'EC-P256' });
  await db`update authority set certificate = ${certificateDer} where name = 'route-signer'`;
  const [{ identifier } = { identifier: '' }] = await db<{ identifier: string }[]>`
    select srp_identifier as identifier from instance where name = 'east'`;
  await db`
    insert into srp_credential (serial, identifier, certificate, expires_at)
    values ('ab', ${identifier}, '\\x00', now() + interval '19 days')`;
  const { result, message } = await check();
  assert.equal(result, 'warning');
  assert.match(
    message,
    /route-signer authority \(.*\), SRP of east \(.*\), identities of 1 device that connected lately/,
  );
});

test('a router on a further host is named when its certificate ends soon, unless it was removed', async () => {
  const mentioned = async () =>
    /router far \(.*?\)/.test((await checkCertificates({ db, home, host: 'here' })).message);
  await db`
    insert into router (name, host, link_host, server_name, certificate_ends_at)
    values ('far', 'there', '127.0.0.1', 'far.test', now() + interval '29 days')`;
  assert.equal(await mentioned(), true);
  await db`update router set certificate_ends_at = now() + interval '31 days'`;
  assert.equal(await mentioned(), false);
  await db`update router set certificate_ends_at = now() + interval '29 days', removed_at = now()`;
  assert.equal(await mentioned(), false);
  await db`alter table router rename to router_later`;
  assert.equal(await mentioned(), false, 'the schema before the expansion');
  await db`alter table router_later rename to router`;
  await db`delete from router`;
});

test('many open deliveries, and as many suspects as may be, are warned of', async () => {
  await writeSetting(db, 'budget', budgetSchema.parse({ perMinuteDomain: 1, suspects: 2 }));
  const owe = async (state: string, count: number) =>
    await db`
      insert into delivery (id, account_id, device_id, item, cause, budgeted, state)
      select gen_random_uuid(), ${device.accountId}, ${device.deviceId}, 'it-policy', 'manual', true, ${state}
        from generate_series(1, ${count}::int)`;
  await owe('released', 10);
  await owe('suspect', 1);
  const few = await checkOpenDeliveries({ db });
  assert.deepEqual(few, {
    result: 'passed',
    message: '10 deliveries are open, and 1 device fell silent with one',
  });
  await owe('released', 1);
  const many = await checkOpenDeliveries({ db });
  assert.equal(many.result, 'warning');
  assert.match(many.message, /wait behind them for about 11 min \(1 a minute\).*`bramble deliveries`/);
  await db`delete from delivery where state = 'released'`;
  await owe('suspect', 1);
  const silent = await checkOpenDeliveries({ db });
  assert.equal(silent.result, 'warning');
  assert.match(silent.message, /limit of 2 suspects is reached.*`bramble device requeue --silent`/);
});

test('the clock of a host that is far off is named, and so is a host that says nothing', async () => {
  const check = async () => await checkClocks({ db, host: 'this' });
  const unknown = await check();
  assert.equal(unknown.result, 'passed');
  assert.match(unknown.message, /by more than 30 s\. Not known: here$/);
  const tell = async (name: string, aheadMs: number) =>
    await db`update component set detail = ${db.json({ clockAheadMs: aheadMs })} where name = ${name}`;
  await insertTestProcess(db, { name: 'far', kind: 'server', release: '1.0.0', host: 'elsewhere' });
  await tell('east', -29_000);
  await tell('far', 3_600_000);
  const off = await check();
  assert.equal(off.result, 'warning');
  assert.match(off.message, /more than 30 s: elsewhere is 3600 s ahead\./);
  await tell('far', 0);
  assert.deepEqual(await check(), {
    result: 'passed',
    message: 'no clock differs from the database’s by more than 30 s',
  });
});

test('room on the disk is needed for the largest table as well, where the database is in this home', async () => {
  const external = await checkDiskRoom({ db, home });
  assert.equal(external.result, 'passed');
  assert.match(
    external.message,
    /^\d+ MiB are free on this host, and 512 MiB needed; the database’s host is not checked$/,
  );
  await mkdir(join(home, 'postgres', 'cluster', 'data'), { recursive: true });
  await writeFile(join(home, 'postgres', 'cluster', 'password'), 'secret');
  await db`create table large as select repeat('x', 1000) as text from generate_series(1, 3000)`;
  const embedded = await checkDiskRoom({ db, home });
  assert.match(embedded.message, /, and 515 MiB needed, 3 MiB of them for as much as the largest table$/);
  await db`drop table large`;
});
