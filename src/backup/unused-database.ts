/** Databases that a domain can be put into: empty, or as an attempt that was interrupted has left them, with our tables and no domain. */
import { addressWithoutCredential } from '../base/database-address.ts';
import { messageOf } from '../base/errors.ts';
import { type Database, withDatabase } from '../database/connection.ts';
import { sqlState } from '../database/sql-state.ts';
import { unreachableOr } from '../database/unreachable-database.ts';

interface Unusable {
  why: string;
  remedy: string;
}

const minServerVersion = 150_000;
const newOne = 'Create a new, empty one';

/**
 * @param migrations how many will have been applied to it; one that has more is not what an attempt of the same has left
 * @returns undefined if it can be used
 * @throws BrambleError ERR_DATABASE_UNAVAILABLE
 */
export async function whyUnusable(
  url: string,
  applicationName: string,
  migrations: number,
): Promise<Unusable | undefined> {
  return await withDatabase(url, applicationName, async (db) => await look(db, migrations)).catch((cause: unknown) => {
    // Of a role, a password or a database that the server does not know.
    if (/^(28...|3D000)$/.test(sqlState(cause) ?? '')) {
      return {
        why: `the server at ${addressWithoutCredential(url)} answers: ${messageOf(cause)}`,
        remedy: 'Correct the address',
      };
    }
    throw unreachableOr(cause, url, 'Correct the address, or start its server. Nothing was changed.');
  });
}

async function look(db: Database, migrations: number): Promise<Unusable | undefined> {
  const [facts] = await db<{ version: number; relations: number; ours: boolean; domains: boolean }[]>`
    select current_setting('server_version_num')::int as version, to_regclass('domain') is not null as domains,
           to_regclass('migration') is not null as ours,
           (select count(*)::int from pg_class where relnamespace = current_schema()::regnamespace
                                                and relkind in ('r', 'p', 'v', 'm', 'S')) as relations`;
  if (facts === undefined || facts.version < minServerVersion) {
    return { why: 'it is older than PostgreSQL 15', remedy: 'Use a later server' };
  }
  if (facts.relations > 0 && !facts.ours) {
    return { why: `it is not empty: ${facts.relations} tables and other things are in it`, remedy: newOne };
  }
  const held = facts.domains ? await db`select from domain` : [];
  if (held.length > 0) return { why: 'it is not empty: it holds a domain already', remedy: newOne };
  const applied = facts.ours ? await db`select from migration` : [];
  if (applied.length > migrations) {
    return { why: 'it is not empty: its tables are of a later schema than what is to be put into it', remedy: newOne };
  }
  return undefined;
}
