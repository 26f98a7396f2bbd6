/**
 * A separate database for each test file, on a real PostgreSQL: a clone of a template to which the migrations were
 * applied once. Under `scripts/test.ts` all files share one cluster (BRAMBLE_TEST_CLUSTER); a file that is run alone
 * with `node --test` starts its own and stops it.
 *
 * Invariant: nothing stays behind. A cluster whose test process was killed is removed by the next one that starts.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import postgres from 'postgres';
import { birthOf } from '../base/process-facts.ts';
import { thisRelease } from '../release/this-release.ts';
import { until } from '../testing/condition.ts';
import { startEmbedded, stopEmbedded } from './embedded/server.ts';
import { migrate } from './migrate.ts';

interface TestCluster {
  /** The superuser's address of the database `bramble`, which tests leave empty. */
  readonly url: string;
  stop(): Promise<void>;
}

interface TestDatabase {
  readonly url: string;
  readonly name: string;
  /** Ends its sessions and drops it. Called automatically at the end of the file, or of the test that made it. */
  drop(): Promise<void>;
}

interface TestDatabaseOptions {
  /** Fills the template, once for each key and cluster. Default: all migrations of `sql/`. */
  prepareTemplate?: (url: string) => Promise<void>;
  /** Distinguishes templates; required with `prepareTemplate`. Default `migrated`. */
  templateKey?: string;
}

export const testClusterVariable = 'BRAMBLE_TEST_CLUSTER';

/**
 * For a test file whose tests wait until no transaction of the whole cluster is open: dropping another file's database is
 * one, which takes minutes on some disks. Call it before the first database is made, and {@link stopOwnCluster} in the last
 * hook of the file.
 */
export function useOwnCluster(): void {
  delete process.env[testClusterVariable];
}

/**
 * The test runner ends a file as soon as its hooks are done: anything cleaned up only at process exit would stay behind.
 */
export async function stopOwnCluster(): Promise<void> {
  const cluster = held.cluster;
  held.cluster = null;
  process.off('beforeExit', stopUnusedCluster);
  await (await cluster)?.stop();
}

const folderPrefix = 'bramble-test-';
const migrationFolder = fileURLToPath(new URL('../../sql', import.meta.url));
/** Class of the advisory locks under which templates are made; no other code works on a test cluster's main database. */
const templateLockClass = 77;

/** Starts a cluster in a temporary folder, or uses the one that the test run shares (which `stop` leaves alone). */
export async function openTestCluster(): Promise<TestCluster> {
  const shared = process.env[testClusterVariable];
  if (shared !== undefined && shared !== '') {
    return { url: shared, stop: async () => undefined };
  }
  await removeAbandonedClusters();
  const folder = await mkdtemp(path.join(os.tmpdir(), folderPrefix));
  await writeFile(path.join(folder, 'owner'), JSON.stringify({ pid: process.pid, birth: await birthOf(process.pid) }));
  // As root, PostgreSQL runs as another user, which needs to pass through this folder.
  await chmod(folder, 0o711);
  const pgFolder = path.join(folder, 'postgres');
  // Hundreds of databases come and go; none is worth an autovacuum worker.
  const settings = {
    ...{ fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', shared_buffers: '64MB' },
    autovacuum: 'off',
    // Several files at once have whole domains in it, each of which checks before an upgrade that there are enough.
    max_connections: '600',
  };
  const server = await startEmbedded({ folder: pgFolder, settings });
  return {
    url: server.url,
    stop: async () => {
      await stopEmbedded({ folder: pgFolder, mode: 'immediate' });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What this test process holds: its cluster, once needed, and the databases not yet dropped. */
const held: { cluster: Promise<TestCluster> | null; databases: Set<string> } = { cluster: null, databases: new Set() };

/** A fresh database. Call it at the top of a test file, or in a test: it is dropped at the end of either. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  held.databases.add(name);
  const database: { drop: () => Promise<void> } = { drop: async () => undefined };
  after(async () => {
    await database.drop();
    held.databases.delete(name);
  });
  if (held.cluster === null) {
    held.cluster = openTestCluster();
    process.on('beforeExit', stopUnusedCluster);
  }
  const { url } = await held.cluster;
  const template = `template_${createHash('sha256')
    .update(options.templateKey ?? 'migrated')
    .digest('hex')
    .slice(0, 12)}`;
  await withMaintenance(url, async (sql) => {
    await ensureTemplate(sql, url, template, options.prepareTemplate ?? applyMigrations);
    await sql.unsafe(`create database ${name} template ${template}`);
  });
  database.drop = async () => {
    // PostgreSQL waits five seconds for the sessions that it terminates, which may not be enough on a busy machine.
    await until(`the database ${name} is dropped`, 120_000, async () => {
      await withMaintenance(url, async (sql) => {
        await sql.unsafe(`drop database if exists ${name} with (force)`);
      });
      return true;
    });
  };
  return { url: addressOf(url, name), name, drop: () => database.drop() };
}

/** The same with the migrations up to one of them only: the schema that an earlier release left. */
export async function createEarlierTestDatabase(lastMigration: number): Promise<TestDatabase> {
  return await createTestDatabase({
    templateKey: `migrated to ${lastMigration}`,
    prepareTemplate: async (url) => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'bramble-migrations-'));
      const isEarlier = (name: string) => Number.parseInt(name, 10) <= lastMigration;
      for (const name of (await readdir(migrationFolder)).filter(isEarlier)) {
        await copyFile(path.join(migrationFolder, name), path.join(folder, name));
      }
      await migrate(url, { folder, release: thisRelease.release, contract: true, applicationName: 'bramble/test' });
      await rm(folder, { recursive: true });
    },
  });
}

/** Creates the shared template ahead of the files that need it. */
export async function prepareMigratedTemplate(url: string): Promise<void> {
  const template = `template_${createHash('sha256').update('migrated').digest('hex').slice(0, 12)}`;
  await withMaintenance(url, async (sql) => await ensureTemplate(sql, url, template, applyMigrations));
}

/** The event comes each time the process has nothing left to do; the last hooks of the test runner are among that. */
function stopUnusedCluster(): void {
  if (held.cluster !== null && held.databases.size === 0) void stopOwnCluster();
}

async function ensureTemplate(
  sql: postgres.Sql,
  clusterUrl: string,
  template: string,
  prepare: (url: string) => Promise<void>,
): Promise<void> {
  const isMade = async () =>
    (await sql`select from pg_database where datname = ${template} and datistemplate`).length > 0;
  if (await isMade()) {
    return;
  }
  // A session lock, since a database cannot be made in a transaction. It goes with this connection.
  await sql`select pg_advisory_lock(${templateLockClass}, hashtext(${template}))`;
  if (!(await isMade())) {
    await sql.unsafe(`drop database if exists ${template} with (force)`);
    await sql.unsafe(`create database ${template} template template0`);
    await prepare(addressOf(clusterUrl, template));
    await sql.unsafe(`alter database ${template} with is_template true allow_connections false`);
  }
  await sql`select pg_advisory_unlock(${templateLockClass}, hashtext(${template}))`;
}

async function applyMigrations(url: string): Promise<void> {
  await migrate(url, {
    folder: migrationFolder,
    release: thisRelease.release,
    contract: true,
    applicationName: 'bramble/test',
  });
}

async function withMaintenance(url: string, work: (sql: postgres.Sql) => Promise<void>): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

function addressOf(clusterUrl: string, database: string): string {
  const url = new URL(clusterUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/** Stops and removes the clusters of test processes that ended without doing so. */
async function removeAbandonedClusters(): Promise<void> {
  for (const name of await readdir(os.tmpdir())) {
    const folder = path.join(os.tmpdir(), name);
    const owner = name.startsWith(folderPrefix) ? await readOwner(folder) : null;
    if (owner !== null && owner.birth !== (await birthOf(owner.pid))) {
      await stopEmbedded({ folder: path.join(folder, 'postgres'), mode: 'immediate' }).catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** null for a folder that is not ours to judge: another user's, or without an owner file. */
async function readOwner(folder: string): Promise<{ pid: number; birth: string | null } | null> {
  try {
    const { uid } = await stat(folder);
    const text = await readFile(path.join(folder, 'owner'), 'utf8');
    return uid === process.getuid?.() ? (JSON.parse(text) as { pid: number; birth: string | null }) : null;
  } catch {
    return null;
  }
}
