/** Checks of the database's sessions: room for those that the upgrade adds, and none that would hold up its migration. */
import { counted } from '../../../base/counted.ts';
import type { Database } from '../../../database/connection.ts';
import { connectLanes } from '../../../devices/connect-batch.ts';
import { listeningSessions, poolSize } from '../../../registry/database-sessions.ts';
import type { Upgrade } from '../../state/upgrade-store.ts';
import { type CheckOptions, type Finding, passed, warning } from './check.ts';

/** The migrator's, and two of the rehearsal. */
const sessionsOfChecks = 3;

/** At most, beside those that are open now. The coordinator’s are open by now, or take the place of the old administration’s. */
export function sessionsNeeded({ plan }: Pick<Upgrade, 'plan'>): number {
  const instance = poolSize.server + connectLanes + listeningSessions;
  const service = poolSize.connection + listeningSessions;
  if (plan.inPlace) {
    // On each host one process at a time stands beside its successor.
    return new Set(plan.replacements.map(({ host }) => host)).size * instance + sessionsOfChecks;
  }
  const services = plan.instances.reduce((sum, { connectionServices }) => sum + connectionServices.length, 0);
  return plan.instances.length * instance + services * service + sessionsOfChecks;
}

interface SessionRoom {
  most: number;
  reserved: number;
  used: number;
}

async function readSessionRoom(db: Database): Promise<SessionRoom> {
  const [row] = await db<SessionRoom[]>`
    select current_setting('max_connections')::int as most,
           current_setting('superuser_reserved_connections')::int
             + coalesce(current_setting('reserved_connections', true), '0')::int as reserved,
           (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as used`;
  return row ?? { most: 0, reserved: 0, used: 0 };
}

export async function checkConnections(
  { db }: Pick<CheckOptions, 'db'>,
  upgrade: Pick<Upgrade, 'plan'>,
): Promise<Finding> {
  const { most, reserved, used } = await readSessionRoom(db);
  const needed = sessionsNeeded(upgrade);
  const free = Math.max(0, most - reserved - used);
  const found = `the database accepts ${most} sessions, ${reserved} of them reserved; ${used} are open`;
  if (needed <= free) return passed(`${found}, and the upgrade opens up to ${needed} more`);
  return warning(
    `${found[0]?.toUpperCase()}${found.slice(1)}, which leaves ${free}, but the upgrade opens up to ${needed} more. Processes that get none ` +
      'do not start, and devices may be refused. Raise max_connections and restart the database, put a pooler before ' +
      'it, or end sessions of other programs.',
  );
}

/** A migration tries again for longer than this; a statement of a device takes milliseconds. */
const longAfterSeconds = 60;
const maxShown = 5;

interface LongTransaction {
  who: string;
  seconds: number;
  end: string;
}

/** Prepared ones, too: these outlive their session, and a restart of the database. */
export async function listLongTransactions(db: Database, afterSeconds = longAfterSeconds): Promise<LongTransaction[]> {
  return await db<LongTransaction[]>`
    select coalesce(nullif(application_name, ''), 'an unnamed session') || ' (database process ' || pid || ', ' || state || ')' as who,
           extract(epoch from clock_timestamp() - xact_start)::int as seconds,
           'select pg_terminate_backend(' || pid || ')' as end
      from pg_stat_activity
     where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
       and xact_start < clock_timestamp() - make_interval(secs => ${afterSeconds})
     union all
    select 'the prepared transaction ' || gid || ' of ' || owner, extract(epoch from clock_timestamp() - prepared)::int,
           'rollback prepared ' || quote_literal(gid)
      from pg_prepared_xacts
     where database = current_database() and prepared < clock_timestamp() - make_interval(secs => ${afterSeconds})
     order by 2 desc`;
}

export async function checkLongTransactions({ db }: Pick<CheckOptions, 'db'>): Promise<Finding> {
  const long = await listLongTransactions(db);
  if (long.length === 0) return passed(`no transaction has been open for more than ${longAfterSeconds} s`);
  const shown = long.slice(0, maxShown).map(({ who, seconds, end }) => `${who}, for ${seconds} s: ${end}`);
  const more = long.length > maxShown ? `; and ${long.length - maxShown} more` : '';
  return warning(
    `${counted(long.length, 'transaction has', 'transactions have')} been open for more than ${longAfterSeconds} s; a migration ` +
      `waits for those that use its tables. Let them end, or end them in the database: ${shown.join('; ')}${more}.`,
  );
}
