/**
 * For tests: a domain of 1.3.0 as its release left it, schema and all, in a home, and coordinators of this release as processes of
 * their own; everything around them is played by SQL.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { workingTreeArchive, workingTreeProgram } from '../../../test/harness/archives.ts';
import { createToken } from '../../access/administrator-tokens.ts';
import { clientOf } from '../../api/client-fixture.ts';
import { upgradeOperations } from '../../api/upgrade.ts';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { openDatabase } from '../../database/connection.ts';
import { createEarlierTestDatabase } from '../../database/database-fixture.ts';
import { createMasterKeys, writeMasterKeys } from '../../database/sealed-value.ts';
import { storeAuthority, storeDomainAuthority } from '../../domain/authorities.ts';
import { generateAuthorities } from '../../domain/authority-creation.ts';
import { ownRelease } from '../../registry/own-release.ts';
import { installArchive } from '../../release/archive.ts';
import { until } from '../../testing/condition.ts';
import { insertUpgrade } from '../../upgrade/state/upgrade-store.ts';
import { insertTestDomain, insertTestInstance, insertTestProcess } from '../../upgrade/steps/domain-fixture.ts';

/** The release that the domain comes from, and the last migration that it has. */
export const sealedRelease = '1.3.0';
const sealedMigration = 23;

const database = await createEarlierTestDatabase(sealedMigration);
export const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
export const home = await mkdtemp(join(tmpdir(), 'bramble-coordinator-'));
const children = new Set<ChildProcess>();
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});

/** A domain as 1.3.0 left it, schema and all. */
export async function prepare(): Promise<string> {
  await installArchive((await workingTreeArchive()).file, { home });
  const masterKeys = createMasterKeys();
  await mkdir(join(home, 'keys'));
  await mkdir(join(home, 'credentials'));
  await writeMasterKeys(join(home, 'keys', 'master.json'), masterKeys);
  await insertTestDomain(db, { release: sealedRelease, schemaVersion: 22 });
  const roots = await generateAuthorities({ name: 'test' });
  await storeDomainAuthority(db, masterKeys, roots.domain);
  await storeAuthority(db, masterKeys, 'device', roots.device);
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

export async function startCoordinator(): Promise<ChildProcess> {
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

/** Only then does it end in order: the one before it may have come to the end in the very moment in which it was killed. */
export async function untilAtWork(child: ChildProcess): Promise<void> {
  await until('the last coordinator is at work', 60_000, async () => {
    const rows =
      await db`select 1 from component where name = 'upgrade-coordinator' and process_id = ${child.pid ?? 0}`;
    return rows.length === 1;
  });
}

/** States in which a gate judges; the table is there from the expansion on. */
export const observed = new Set(['moving', 'all-moved', 'soaking']);

export async function observeRequests(): Promise<void> {
  await db`
    insert into request_outcome (account_id, instance_id, bucket, router, requests, failed, latency)
    select id, instance_id, date_bin('10 seconds', now(), 'epoch'), 'router', 100, 0, '{0,0,0,0,100}' from account
    on conflict do nothing`;
}

/** The address of a coordinator that was killed may still stand there: then the next round tries again. */
export async function askCoordinator(token: string, operation: 'finalize' | 'reverse' | 'resume'): Promise<void> {
  const text = await readFile(join(home, 'coordinator.json'), 'utf8').catch(() => '{"url":"http://127.0.0.1:9"}');
  const { url } = JSON.parse(text) as { url: string };
  await clientOf({ url, token })
    .call(upgradeOperations[operation], {})
    .catch(() => undefined);
}
