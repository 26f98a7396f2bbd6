import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { workingTreeArchive, workingTreeProgram } from '../../../test/harness/archives.ts';
import { createToken } from '../../access/administrator-tokens.ts';
import { clientOf } from '../../api/client-fixture.ts';
import { upgradeOperations } from '../../api/upgrade.ts';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { openDatabase } from '../../database/connection.ts';
import { createEarlierTestDatabase } from '../../database/database-fixture.ts';
import { readMigrations } from '../../database/migration-files.ts';
import { createMasterKeys, writeMasterKeys } from '../../database/sealed-value.ts';
import { storeAuthority } from '../../domain/authorities.ts';
import { generateAuthorities } from '../../domain/authority-creation.ts';
import { ownRelease } from '../../registry/own-release.ts';
import { installArchive } from '../../release/archive.ts';
import { migrationFolder } from '../../release/program.ts';
import { until, untilDone } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import { insertUpgrade, readLatestUpgrade } from '../../upgrade/state/upgrade-store.ts';
import {
  insertTestDomain,
  insertTestInstance,
  insertTestProcess,
  superviseOnce,
} from '../../upgrade/steps/domain-fixture.ts';

/** The release that the domain comes from, and the last migration that it has. */
const sealedRelease = '1.1.0';
const sealedMigration = 8;

const database = await createEarlierTestDatabase(sealedMigration);
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
const home = await mkdtemp(join(tmpdir(), 'bramble-coordinator-'));
const children = new Set<ChildProcess>();
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});

/** A domain as 1.1.0 left it, schema and all. */
async function prepare(): Promise<string> {
  await installArchive((await workingTreeArchive()).file, { home });
  const masterKeys = createMasterKeys();
  await mkdir(join(home, 'keys'));
  await mkdir(join(home, 'credentials'));
  await writeMasterKeys(join(home, 'keys', 'master.json'), masterKeys);
  await insertTestDomain(db, { release: sealedRelease, schemaVersion: 7 });
  const roots = await generateAuthorities({ name: 'test' });
  for (const name of ['domain', 'device'] as const) await storeAuthority(db, masterKeys, name, roots[name]);
  await insertTestInstance(db, { name: 'east', accounts: 4, release: sealedRelease });
  await db`
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint)
    select gen_random_uuid(), id, 'token of ' || name, 'apple', 'active', 'secret', name from account`;
  await insertTestProcess(db, { name: 'admin', kind: 'administration', release: sealedRelease });
  await insertTestProcess(db, { name: 'router', kind: 'router', release: sealedRelease });
  const identifiers = await db<{ identifier: string }[]>`
    select srp_identifier as identifier from instance union all select srp_identifier from connection_service`;
  for (const { identifier } of identifiers) {
    const pem = { certificatePem: 'x', privateKeyPem: 'x', domainAuthorityPem: 'x' };
    const routers = [{ host: '127.0.0.1', port: 3101, serverName: 'router' }];
    await writeFile(join(home, 'credentials', `${identifier}.json`), JSON.stringify({ identifier, ...pem, routers }));
  }
  const plan = upgradePlanSchema.parse({
    options: planOptionsSchema.parse({ soakSeconds: 0, fenceGraceMs: 0 }),
    instances: [
      {
        name: 'east-1-2',
        replaces: 'east',
        host: 'here',
        connectionServices: [{ name: 'east-mds-1-2', replaces: 'east-mds' }],
      },
    ],
  });
  await db.begin((tx) => insertUpgrade(tx, { fromRelease: sealedRelease, toRelease: ownRelease, plan }));
  await db`update upgrade set state = 'checked', progress = '{"started": true}'`;
  return await db.begin((tx) => createToken(tx, 'ada'));
}

async function startCoordinator(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [await workingTreeProgram(), 'run', 'coordinator'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      BRAMBLE_HOME: home,
      BRAMBLE_HOST: 'here',
      BRAMBLE_COMPONENT: 'upgrade-coordinator',
      BRAMBLE_LOG_LEVEL: 'error',
      BRAMBLE_SETTINGS: '{"intervalMs":50}',
      DATABASE_URL: database.url,
    },
  });
  children.add(child);
  return child;
}

/** States in which a gate judges; the table is there from the expansion on. */
const observed = new Set(['moving', 'all-moved', 'soaking']);

async function observeRequests(): Promise<void> {
  await db`
    insert into request_outcome (account_id, instance_id, bucket, router, requests, failed, latency)
    select id, instance_id, date_bin('10 seconds', now(), 'epoch'), 'router', 100, 0, '{0,0,0,0,100}' from account
    on conflict do nothing`;
}

test('a coordinator process that is killed (kill -9) at each state is followed by one that goes on to the end', async () => {
  const token = await prepare();
  let child = await startCoordinator();
  const seen = new Set(['checked']);
  await untilDone('the upgrade is done', 120_000, async () => {
    await superviseOnce(db);
    await db`update delivery set state = 'done', settled_at = now() where state = 'owed'`;
    const upgrade = await readLatestUpgrade(db);
    assert.ok(upgrade);
    if (upgrade.state === 'done') return null;
    if (observed.has(upgrade.state)) await observeRequests();
    assert.notEqual(upgrade.state, 'paused', upgrade.pauseReason ?? '');
    if (!seen.has(upgrade.state)) {
      seen.add(upgrade.state);
      child.kill('SIGKILL');
      await exitWithin(child, 60_000, 'the coordinator that was killed');
      child = await startCoordinator();
    } else if (upgrade.state === 'soaking') {
      await finalizeThroughCoordinator(token);
    }
    const [steps] = await db<{ count: number }[]>`
      select ((select count(*) from upgrade_event) + (select count(*) from migration)
              + (select count(*) from account_move where settled_at is not null))::int as count`;
    return `${upgrade.state} after ${steps?.count} steps, ${upgrade.progress.waitingFor}`;
  });
  const [domain] = await db`select release, feature_level, schema_version from domain`;
  assert.deepEqual(
    { ...domain },
    {
      release: ownRelease,
      feature_level: ownRelease,
      schema_version: (await readMigrations(migrationFolder())).length,
    },
  );
  const served = await db`
    select c.name, i.name as instance from connection_service_instance r
      join connection_service c on c.id = r.connection_service_id join instance i on i.id = r.instance_id order by 1`;
  assert.deepEqual(
    served.map((row) => [row['name'], row['instance']]),
    [
      ['east-mds', 'east'],
      ['east-mds-1-2', 'east-1-2'],
    ],
  );
  assert.equal((await db`select 1 from account_move`).length, 4);
  const owed = await db<{ accounts: number; items: number }[]>`
    select count(distinct m.account_id)::int as accounts, count(distinct d.item)::int as items
      from delivery d join account_move m on m.id = d.move_id where d.cause = 'move'`;
  assert.deepEqual([...owed], [{ accounts: 4, items: 3 }], 'each device was owed everything anew');
  assert.equal((await db`select 1 from instance`).length, 2);
  // The one before it may have come to the end in the very moment in which it was killed: this one may just begin.
  await until('the last coordinator is at work', 60_000, async () => {
    const rows =
      await db`select 1 from component where name = 'upgrade-coordinator' and process_id = ${child.pid ?? 0}`;
    return rows.length === 1;
  });
  child.kill('SIGTERM');
  assert.equal(await exitWithin(child, 60_000, 'the last coordinator'), 0);
});

/** The address of a coordinator that was killed may still stand there: then the next round tries again. */
async function finalizeThroughCoordinator(token: string): Promise<void> {
  const text = await readFile(join(home, 'coordinator.json'), 'utf8').catch(() => '{"url":"http://127.0.0.1:9"}');
  const { url } = JSON.parse(text) as { url: string };
  await clientOf({ url, token })
    .call(upgradeOperations.finalize, {})
    .catch(() => undefined);
}
