/**
 * How many statements a domain's embedded PostgreSQL has executed, by `pg_stat_statements`: BEGIN and COMMIT are statements too.
 * Its view is in the database `postgres`, so that the domain's own schema stays as it is.
 */
import postgres from 'postgres';
import type { RunningDomain } from '../test/harness/domain.ts';

/** What PostgreSQL has to be started with. */
export const countingSettings = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.max': '20000',
  // One more for each statement inside a function would count what no process sent.
  'pg_stat_statements.track': 'top',
};

/** Calls so far, by the text of the statement. */
export type StatementCalls = ReadonlyMap<string, number>;

export interface StatementCounter {
  read(): Promise<StatementCalls>;
  close(): Promise<void>;
}

/** In a statement of the bench itself: it is not counted. */
export const ownMark = '/* bench */';

export async function openStatementCounter(domain: RunningDomain): Promise<StatementCounter> {
  const address = new URL(domain.databaseUrl);
  const own = new URL(address);
  own.pathname = '/postgres';
  const sql = postgres(own.href, { max: 1, onnotice: () => {} });
  await sql`create extension if not exists pg_stat_statements`;
  return {
    async read() {
      const rows = await sql<{ query: string; calls: number }[]>`
        select s.query, sum(s.calls)::float8 as calls from pg_stat_statements s join pg_database d on d.oid = s.dbid
         where d.datname = ${address.pathname.slice(1)} and position(${ownMark} in s.query) = 0 group by s.query`;
      return new Map(rows.map(({ query, calls }) => [query, calls]));
    },
    close: () => sql.end({ timeout: 2 }),
  };
}

/** Calls of each statement in between, the most frequent first. */
export function callsBetween(before: StatementCalls, after: StatementCalls): [query: string, calls: number][] {
  return [...after]
    .map(([query, calls]): [string, number] => [query, calls - (before.get(query) ?? 0)])
    .filter(([, calls]) => calls > 0)
    .toSorted(([, a], [, b]) => b - a);
}
