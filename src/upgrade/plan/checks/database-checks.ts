/** Checks of the database, and of what the upgrade would make of the data in it. */
import { join } from 'node:path';
import { isInsufficientPrivilege } from '../../../database/sql-state.ts';
import { listUnfinishedMigrations } from '../../../database/unfinished-migrations.ts';
import { readDomain } from '../../../domain/domain.ts';
import type { Upgrade } from '../../state/upgrade-store.ts';
import { listAccountTables, lossesOf } from '../loss-manifest.ts';
import { rehearseMigration } from '../rehearsal.ts';
import { readRehearsal, rehearsalText } from '../rehearsal-record.ts';
import { type CheckOptions, error, type Finding, passed, warning } from './check.ts';

const minServerVersion = 150_000;

export async function checkDatabase({ db }: CheckOptions): Promise<Finding> {
  const [row] = await db<{ version: number; replica: boolean }[]>`
    select current_setting('server_version_num')::int as version, pg_is_in_recovery() as replica`;
  if (row === undefined || row.replica) return error('The database is a replica: it accepts no writes.');
  if (row.version < minServerVersion) return error('PostgreSQL 15 or later is required.');
  return passed(`PostgreSQL ${Math.floor(row.version / 10_000)} accepts writes`);
}

export async function checkBackfills({ db }: Pick<CheckOptions, 'db'>): Promise<Finding> {
  const { backfills, indexes } = await listUnfinishedMigrations(db);
  if (backfills.length + indexes.length === 0) return passed('no earlier migration is unfinished');
  const left = [
    ...backfills.map((name) => `the backfill of ${name}`),
    ...indexes.map((name) => `the index ${name}, which is half-built`),
  ];
  return warning(
    `Earlier migrations are not finished: ${left.join(', ')}. This upgrade finishes them when it expands the schema, which ` +
      'takes longer by that. A half-built index that is none of Bramble’s: drop it.',
  );
}

export async function checkRehearsal(options: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  const { databaseUrl, applicationName } = options;
  const withData = await readRehearsalOf(options, upgrade);
  if (withData !== undefined && withData.obstacles.length > 0) {
    return error(`${rehearsalText(withData)}; but: ${withData.obstacles.join(' ')}`);
  }
  if (upgrade.plan.patch) return passed('a patch changes no schema: there is nothing to rehearse');
  const fromFolder = join(options.home, 'releases', upgrade.fromRelease, 'sql');
  try {
    const rehearsal = await rehearseMigration({
      databaseUrl,
      applicationName,
      from: { folder: fromFolder, release: upgrade.fromRelease },
      to: { folder: options.migrations, release: options.release },
    });
    return rehearsal.obstacles.length === 0
      ? passed(
          `on a scratch database the schema was migrated to ${rehearsal.schemaVersion}, and ${upgrade.fromRelease} ` +
            `works on it; ${withData === undefined ? notRehearsed : rehearsalText(withData)}`,
        )
      : error(
          `Release ${upgrade.fromRelease} could not work on the expanded schema: ${rehearsal.obstacles.join('; ')}.`,
        );
  } catch (cause) {
    if (!isInsufficientPrivilege(cause)) throw cause;
    return warning('The migration cannot be rehearsed: the database’s role may not create a database (CREATEDB).');
  }
}

const notRehearsed =
  'not rehearsed with data: `bramble upgrade rehearse <backup>` does that, and measures how long it takes';

async function readRehearsalOf({ db, home }: CheckOptions, { fromRelease, toRelease }: Upgrade) {
  const { domainId } = await readDomain(db);
  return await readRehearsal(home, { domainId, fromRelease, toRelease });
}

export async function checkLosses({ db }: CheckOptions): Promise<Finding> {
  const losses = lossesOf(await listAccountTables(db));
  return losses.length === 0
    ? passed('nothing would be lost')
    : warning(`These would not be preserved: ${losses.map((loss) => `${loss.what} (${loss.why})`).join('; ')}.`);
}
