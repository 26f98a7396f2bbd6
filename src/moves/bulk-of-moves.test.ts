/**
 * What a move reads is the same however many others are queued, and from the first moment on: before autovacuum has come, while the
 * statistics are of a time in which there were only a few.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AccountId, InstanceId } from '../base/ids.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { seedDomain } from '../devices/device-fixture.ts';
import { until } from '../testing/condition.ts';
import { createMoveBatch } from './batch-store.ts';
import { runMoves } from './move-runner.ts';

const limited = { timeout: 180_000 };
const [few, many, enough] = [2, 20_000, 200];
/**
 * Entries of tables and indexes, for each move. 20 if nobody else is in the cluster; some hundreds while a transaction of another test
 * keeps entries of earlier moves from being forgotten. Through all moves it would be 11,000 at least.
 */
const maxRowsPerMove = many / 4;

type Instances = Readonly<Record<'here' | 'there', InstanceId>>;

async function queueMoves(db: Database, { here, there }: Instances, accounts: number): Promise<void> {
  const added = await db<{ accountId: AccountId }[]>`
    insert into account (id, name, display_name, instance_id)
    select id, id::text, 'person', ${here} from (select gen_random_uuid() as id from generate_series(1, ${accounts}::int)) a
    returning id as "accountId"`;
  const moves = added.map(({ accountId }) => ({ accountId, toInstanceId: there }));
  await db.begin((tx) => createMoveBatch(tx, { purpose: 'manual', createdBy: 'test', moves }));
}

async function untilClosed(db: Database, least: number): Promise<void> {
  await until(`${least} moves are closed`, 90_000, async () => {
    const [row] = await db<{ closed: number }[]>`
      select count(*)::int as closed from account_move where state = 'closed'`;
    return (row?.closed ?? 0) >= least;
  });
}

async function untilMoved(db: Database, { there }: Instances, least: number): Promise<void> {
  await until(`${least} accounts have moved`, 90_000, async () => {
    const [row] = await db<{ moved: number }[]>`
      select count(*)::int as moved from account where instance_id = ${there}`;
    return (row?.moved ?? 0) >= least;
  });
}

/** Rows of account_move and entries of its indexes that were read, once the sessions of the runner have ended: they tell of it then at the latest. */
async function rowsRead(db: Database): Promise<number> {
  await until('the runner has no sessions', 20_000, async () => {
    const left =
      await db`select from pg_stat_activity where application_name = 'runner' and datname = current_database()`;
    return left.length === 0;
  });
  const [row] = await db<{ rows: number }[]>`
    select (select sum(seq_tup_read) from pg_stat_user_tables where relname = 'account_move')::float8 +
           (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'account_move')::float8 as rows`;
  return row?.rows ?? 0;
}

/** What the statistics were taken of: as autovacuum finds canaries, behind them or in their midst. */
const moments = {
  closed: async (db: Database) => {
    await db.unsafe('vacuum analyze account_move');
  },
  delivering: async (db: Database) => {
    await db.begin(async (tx) => {
      await tx`update account_move set state = 'delivering'`;
      await tx.unsafe('analyze account_move');
      await tx`select pg_notify('bramble_moves', '')`;
    });
    await untilClosed(db, few);
  },
};

describe('a move reads no more when thousands have just been queued', limited, () => {
  for (const [state, analyze] of Object.entries(moments)) {
    test(`and all that is known of moves is that they were ${state}`, limited, async () => {
      const { url } = await createTestDatabase();
      const db = openDatabase(url, { applicationName: 'test', max: 4 });
      const pool = openDatabase(url, { applicationName: 'runner', max: 4 });
      const ending = new AbortController();
      const instances = await seedDomain(db);
      const running = runMoves({
        ...{ db: pool, release: '1.0.0', name: 'test-runner', signal: ending.signal, drainWindow: async () => 6 },
        oweDeliveries: async () => {},
        log: { info: () => {}, warn: () => {} },
      });
      try {
        await queueMoves(db, instances, few);
        await untilClosed(db, few);
        await analyze(db);
        // Each session plans for a few.
        await queueMoves(db, instances, few);
        await untilClosed(db, 2 * few);
        await queueMoves(db, instances, many);
        await untilMoved(db, instances, 2 * few + enough);
      } finally {
        ending.abort();
        await running;
        await pool.end();
      }
      const rows = await rowsRead(db);
      assert.ok(rows < enough * maxRowsPerMove, `${rows} rows of account_move were read`);
      await db.end();
    });
  }
});
