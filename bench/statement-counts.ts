/**
 * Which statements a domain's embedded PostgreSQL has executed, how often and for how long, by `pg_stat_statements`: BEGIN and
 * COMMIT are statements too.
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

export interface StatementUse {
  calls: number;
  /** Time that PostgreSQL spent in them, waits for locks and disk included. */
  ms: number;
  rows: number;
  /** Of 8 KiB, found in its buffers. */
  blocks: number;
}

/** Uses so far, by the text of the statement. */
export type StatementUses = ReadonlyMap<string, StatementUse>;

export interface StatementCounter {
  read(): Promise<StatementUses>;
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
      const rows = await sql<(StatementUse & { query: string })[]>`
        select s.query, sum(s.calls)::float8 as calls, sum(s.total_exec_time)::float8 as ms, sum(s.rows)::float8 as rows,
               sum(s.shared_blks_hit)::float8 as blocks
          from pg_stat_statements s join pg_database d on d.oid = s.dbid
         where d.datname = ${address.pathname.slice(1)} and position(${ownMark} in s.query) = 0 group by s.query`;
      return new Map(rows.map(({ query, ...use }) => [query, use]));
    },
    close: () => sql.end({ timeout: 2 }),
  };
}

/** What each statement was used in between, in no order. */
export function usesBetween(before: StatementUses, after: StatementUses): [query: string, use: StatementUse][] {
  const none = { calls: 0, ms: 0, rows: 0, blocks: 0 };
  return [...after]
    .map(([query, now]): [string, StatementUse] => {
      const then = before.get(query) ?? none;
      const use = { calls: now.calls - then.calls, ms: now.ms - then.ms, rows: now.rows - then.rows };
      return [query, { ...use, blocks: now.blocks - then.blocks }];
    })
    .filter(([, { calls }]) => calls > 0);
}

export function sumOf(uses: readonly [string, StatementUse][], of: keyof StatementUse): number {
  return uses.reduce((sum, [, use]) => sum + use[of], 0);
}

/** So many of the dearest, shortened, for each of `count` accounts or effects. */
export function dearest(
  uses: readonly [string, StatementUse][],
  by: keyof StatementUse,
  count: number,
): DearStatement[] {
  const per = (value: number) => Math.round((value / Math.max(1, count)) * 1000) / 1000;
  return uses
    .toSorted(([, a], [, b]) => b[by] - a[by])
    .slice(0, shown)
    .map(([query, { calls, ms, rows, blocks }]) => ({
      ...{ calls: per(calls), ms: per(ms), rows: per(rows), blocks: per(blocks) },
      msEach: Math.round((ms / calls) * 1000) / 1000,
      query: query.replace(/\s+/g, ' ').slice(0, 400),
    }));
}

export interface DearStatement extends StatementUse {
  msEach: number;
  query: string;
}

const shown = 40;
