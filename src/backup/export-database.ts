/**
 * Moves the domain from its embedded PostgreSQL to an external one: `bramble database export`. Further hosts need one.
 *
 * Invariants: while rows are copied nobody writes (the home's lock is held, and no session of the domain is open); the
 * configuration names the new database only after every table was read there again and compared; and the embedded one
 * stays as it was, to go back to.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { withDatabase } from '../database/connection.ts';
import { loadDatabase } from '../database/copy/load.ts';
import { type Snapshot, withSnapshot } from '../database/copy/snapshot.ts';
import { createTableDigest, digestOf, type RowsFacts } from '../database/copy/table-digest.ts';
import { startEmbedded, stopEmbedded } from '../database/embedded/server.ts';
import { migrate } from '../database/migrate.ts';
import { readMigrations } from '../database/migration-files.ts';
import { assertOwnSessions } from '../database/pooler-check.ts';
import { writeWholeFile } from '../database/whole-file.ts';
import { beginEventStream } from '../domain/copied-events.ts';
import { readConfiguration } from '../process/configuration.ts';
import { lockHome } from '../processes/supervisor/home-lock.ts';
import { homeDatabase } from '../setup/home-database.ts';
import { whyUnusable } from './unused-database.ts';

const applicationName = 'bramble/database-export';

export interface ExportOptions {
  home: string;
  /** Of the external, empty database. */
  to: string;
  program: { release: string; migrations: string };
  onProgress?: (tables: number, of: number) => void;
}

export interface ExportedDatabase {
  tables: number;
  rows: number;
  /** From the first row until every table was compared: so long does the domain stand still. */
  copySeconds: number;
}

/**
 * Copies and compares while the domain runs, and leaves the external database without rows: the pause is known beforehand.
 * @throws BrambleError as {@link exportDatabase}
 */
export async function rehearseExport(options: ExportOptions): Promise<ExportedDatabase> {
  const { url, embedded } = await homeDatabase(options.home);
  if (!embedded) throw notEmbedded(options.home);
  await prepareTarget(url, options);
  try {
    const copied = await copyTo(url, options);
    await empty(options.to);
    return copied;
  } catch (error) {
    await empty(options.to).catch(() => {});
    throw error;
  }
}

/**
 * @throws BrambleError ERR_CONFIGURATION when the home has no embedded database; ERR_ALREADY_RUNNING while its supervisor runs,
 *   ERR_STATE while a process of the domain does; ERR_DATABASE_TARGET when the external database cannot be used;
 *   ERR_DATABASE_COPY when copying was broken off, or it does not
 *   hold what was copied
 */
export async function exportDatabase(options: ExportOptions): Promise<ExportedDatabase> {
  const { home, to, program } = options;
  const configuration = await readConfiguration(home);
  if ('url' in configuration.database) throw notEmbedded(home);
  const lock = await lockHome(home, program.release).catch((error: unknown) => {
    throw isBrambleError(error, 'ERR_ALREADY_RUNNING') ? stillRunning(home, error) : error;
  });
  const folder = join(home, 'postgres');
  try {
    const { url } = await startEmbedded({ folder, settings: configuration.database.settings });
    await assertNobodyElse(url);
    await prepareTarget(url, options);
    const exported = await copyTo(url, options);
    await withDatabase(to, applicationName, beginEventStream);
    await switchTo(home, to);
    return exported;
  } finally {
    await stopEmbedded({ folder, mode: 'fast' });
    await lock.release();
  }
}

function stillRunning(home: string, cause: BrambleError): BrambleError {
  return new BrambleError(
    'ERR_ALREADY_RUNNING',
    `The domain of ${home} is running, and has to stand still while it is exported: stop it first (\`bramble down\`). To ` +
      'see beforehand how long that takes, while it runs: `bramble database export --rehearse`. Nothing was changed.',
    { cause, details: cause.details },
  );
}

/** Leaves the schema, and what says how far it has come. */
async function empty(url: string): Promise<void> {
  const kept = await withSnapshot(url, { applicationName }, async (snapshot) => {
    const table = snapshot.tables.find(({ name }) => name === 'migration');
    if (table === undefined) return undefined;
    const pieces: Buffer[] = [];
    for await (const piece of await snapshot.rows(table)) pieces.push(piece);
    return { table, pieces };
  });
  await loadDatabase(url, { applicationName }, async (load) => {
    if (kept !== undefined) await load.table(kept.table, Readable.from(kept.pieces));
  });
}

/** Processes outlive a supervisor that was killed, for a while. */
async function assertNobodyElse(url: string): Promise<void> {
  const others = await withDatabase(
    url,
    applicationName,
    async (db) =>
      await db<{ name: string }[]>`
      select distinct application_name as name from pg_stat_activity
       where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid() order by 1`,
  );
  if (others.length === 0) return;
  throw new BrambleError(
    'ERR_STATE',
    `The database is in use: ${others.map(({ name }) => name || 'a client without a name').join(', ')}. Nothing was changed. ` +
      'Wait until processes of the domain have ended, and close other clients.',
  );
}

/** The schema, as far as the domain's database has come. */
async function prepareTarget(from: string, { to, program }: ExportOptions): Promise<void> {
  const applied = await withDatabase(
    from,
    applicationName,
    async (db) => await db<{ number: number; digest: string }[]>`select number, digest from migration order by number`,
  );
  const own = await readMigrations(program.migrations);
  const foreign = applied.find(({ number, digest }) => own[number - 1]?.digest !== digest);
  if (foreign !== undefined) {
    throw new BrambleError(
      'ERR_SCHEMA_TOO_NEW',
      `The domain's database has a migration ${foreign.number} that is not this release's (${program.release}). Use the ` +
        'program of the release that applied it.',
    );
  }
  const upTo = applied.at(-1)?.number ?? 0;
  await assertUsable(to, upTo);
  await assertOwnSessions(to, { applicationName });
  await migrate(to, { folder: program.migrations, release: program.release, contract: true, upTo, applicationName });
}

/** Empty, or with our tables and no domain in them, as a rehearsal and an interrupted export leave it. */
async function assertUsable(to: string, migrations: number): Promise<void> {
  const unusable = await whyUnusable(to, applicationName, migrations);
  if (unusable === undefined) return;
  const { why, remedy } = unusable;
  throw new BrambleError(
    'ERR_DATABASE_TARGET',
    `The domain cannot be moved into that database: ${why}. ${remedy}. Nothing was changed.`,
  );
}

async function copyTo(from: string, options: ExportOptions): Promise<ExportedDatabase> {
  return await copyAndCompare(from, options).catch((error: unknown) => {
    throw isBrambleError(error) ? error : brokenOff(error);
  });
}

/** A server whose disk is full may end, and say why in its log only. */
function brokenOff(cause: unknown): BrambleError {
  return new BrambleError(
    'ERR_DATABASE_COPY',
    `The copy was broken off (${messageOf(cause)}). The domain stays in its embedded database. Look into the log of the external ` +
      'server: is there room on its disk, and does it run? Then say the same command again.',
    { cause },
  );
}

async function copyAndCompare(from: string, { to, onProgress = () => {} }: ExportOptions): Promise<ExportedDatabase> {
  const startedAt = performance.now();
  const copied = await withSnapshot(from, { applicationName }, async (snapshot) => {
    const facts = new Map<string, RowsFacts>();
    await loadDatabase(to, { applicationName }, async (load) => {
      for (const table of snapshot.tables) {
        const digest = createTableDigest();
        await load.table(table, digested(await snapshot.rows(table), digest));
        facts.set(table.name, digest.facts());
        onProgress(facts.size, 2 * snapshot.tables.length);
      }
      await load.sequences(await snapshot.sequences());
    });
    return { facts, sequences: JSON.stringify(await snapshot.sequences()) };
  });
  await withSnapshot(to, { applicationName }, async (snapshot) => await compare(snapshot, copied, onProgress));
  const rows = [...copied.facts.values()].reduce((sum, each) => sum + each.rows, 0);
  return { tables: copied.facts.size, rows, copySeconds: (performance.now() - startedAt) / 1000 };
}

async function* digested(pieces: AsyncIterable<Buffer>, digest: { add(piece: Buffer): void }): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    digest.add(piece);
    yield piece;
  }
}

async function compare(
  snapshot: Snapshot,
  { facts, sequences }: { facts: ReadonlyMap<string, RowsFacts>; sequences: string },
  onProgress: (tables: number, of: number) => void,
): Promise<void> {
  const differing: string[] = [];
  for (const [index, table] of snapshot.tables.entries()) {
    const [was, is] = [facts.get(table.name), await digestOf(snapshot, table)];
    if (was?.rows !== is.rows || was.sha256 !== is.sha256) differing.push(table.name);
    onProgress(facts.size + index + 1, 2 * facts.size);
  }
  if (sequences !== JSON.stringify(await snapshot.sequences())) differing.push('the sequences');
  if (differing.length === 0) return;
  throw new BrambleError(
    'ERR_DATABASE_COPY',
    `What is in the external database is not what was copied: ${differing.join(', ')}. The domain stays in its embedded ` +
      'database. Does anything else write there? Create a new, empty one.',
  );
}

/** The former configuration and credentials of roles, which are of the former server, are kept beside its data. */
async function switchTo(home: string, to: string): Promise<void> {
  const file = join(home, 'config.json');
  const kept = join(home, 'postgres', 'before-export');
  const former = await readFile(file, 'utf8');
  await mkdir(kept, { recursive: true, mode: 0o700 });
  await writeFile(join(kept, 'config.json'), former, { mode: 0o600 });
  // Without them every process takes the configured address, in the former database too.
  const ofRoles = join(home, 'database');
  if (existsSync(ofRoles)) {
    // Of an earlier export, after which it was put back.
    await rm(join(kept, 'database'), { recursive: true, force: true });
    await rename(ofRoles, join(kept, 'database'));
  }
  const configuration = { ...(JSON.parse(former) as object), database: { url: to } };
  await writeWholeFile(file, `${JSON.stringify(configuration, null, 2)}\n`, 'w');
}

function notEmbedded(home: string): BrambleError {
  return new BrambleError('ERR_CONFIGURATION', `The domain of ${home} has an external database already (config.json).`);
}
