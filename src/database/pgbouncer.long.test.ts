/** Sessions through a real pgbouncer, while the PostgreSQL behind it is restarted, killed, and its sessions are ended. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import postgres from 'postgres';
import { lacks } from '../testing/clients.ts';
import { inTime, until } from '../testing/condition.ts';
import { openDatabase } from './connection.ts';
import { type EmbeddedServer, startEmbedded, stopEmbedded } from './embedded/server.ts';
import { type Pgbouncer, type PoolMode, startPgbouncer } from './pgbouncer-fixture.ts';
import { assertOwnSessions } from './pooler-check.ts';

const limited = { timeout: 180_000 };
const settings = { fsync: 'off', shared_buffers: '32MB' };
const applicationName = 'bramble/test';

describe('pgbouncer', { skip: lacks('pgbouncer') }, () => {
  let root: string;
  let server: EmbeddedServer;
  const folder = () => join(root, 'postgres');

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'bramble-pooled-'));
    await chmod(root, 0o711);
    server = await startEmbedded({ folder: folder(), settings });
  });
  after(async () => {
    await stopEmbedded({ folder: folder(), mode: 'immediate' });
    await rm(root, { recursive: true, force: true });
  });

  async function through(
    mode: PoolMode,
    work: (pooler: Pgbouncer) => Promise<void>,
    settings: Readonly<Record<string, string | number>> = {},
  ): Promise<void> {
    const pooler = await startPgbouncer(server.url, mode, settings);
    try {
      await work(pooler);
    } finally {
      await pooler.stop();
    }
  }

  const ends: Readonly<Record<string, () => Promise<unknown>>> = {
    'is restarted': async () => await stopEmbedded({ folder: folder(), mode: 'fast' }),
    'is killed': async () => {
      process.kill(server.pid, 'SIGKILL');
    },
  };
  for (const [how, end] of Object.entries(ends)) {
    test(
      `in session mode no statement that was not sent fails, and none is left open, when PostgreSQL ${how}`,
      limited,
      async () => {
        await through('session', async ({ url }) => {
          const db = openDatabase(url, { applicationName, max: 4, patienceMs: () => 90_000 });
          await db`drop table if exists kept`;
          await db`create table kept (n bigint generated always as identity)`;
          const heard: string[] = [];
          await db.listen('pooled', (payload) => heard.push(payload));
          let rounds = 0;
          let stopping = false;
          const lost: string[] = [];
          let written = 0;
          const read = async () => {
            while (!stopping) {
              const [row] = await db`select 1 as one, ${['a', 'b']}::text[] as texts`;
              assert.deepEqual({ ...row }, { one: 1, texts: ['a', 'b'] });
              rounds += 1;
            }
          };
          // What was sent and then lost may fail, but not without an answer.
          const write = async () => {
            while (!stopping) {
              await db
                .begin(async (tx) => await tx`insert into kept default values`)
                .then(
                  () => (written += 1),
                  (error: unknown) => lost.push(String(error)),
                );
            }
          };
          const writers = [write, write, write];
          const loops = Promise.all([read, read, read, ...writers].map(async (loop) => await loop()));
          try {
            await until('statements are answered', 60_000, () => rounds > 20 && written > 20);
            await end();
            server = await startEmbedded({ folder: folder(), settings });
            const before = { rounds, written };
            await until(
              'statements are answered again',
              90_000,
              () => rounds > before.rounds + 20 && written > before.written + 20,
            );
            await until('notifications arrive again', 60_000, async () => {
              await db`select pg_notify('pooled', 'here')`;
              return heard.includes('here');
            });
          } finally {
            stopping = true;
            await inTime('every statement is answered', 60_000, loops).finally(
              async () => await db.end({ timeout: 5 }),
            );
          }
          // At most what was under way: one of each writer. Of that nobody knows whether it was done; all else is there.
          assert.ok(lost.length <= writers.length, lost.join('\n'));
          const sql = postgres(server.url, { max: 1 });
          const [kept] = await sql<{ count: number }[]>`select count(*)::int from kept`;
          await sql.end({ timeout: 5 });
          const count = kept?.count ?? 0;
          assert.ok(count >= written && count <= written + lost.length, `${count} of ${written}, ${lost.length} lost`);
        });
      },
    );
  }

  test('in session mode every client has a session of its own', limited, async () => {
    await through('session', async ({ url }) => await assertOwnSessions(url, { applicationName }));
    await assertOwnSessions(server.url, { applicationName });
  });

  for (const mode of ['transaction', 'statement'] as const) {
    test(`${mode} mode is refused, whichever server a client is given`, limited, async () => {
      for (const round_robin of [0, 1]) {
        const more = { server_round_robin: round_robin, min_pool_size: 3 };
        await through(
          mode,
          async ({ url }) => {
            await assert.rejects(assertOwnSessions(url, { applicationName, timeoutMs: 3000 }), {
              code: 'ERR_DATABASE_POOLER',
            });
          },
          more,
        );
      }
    });
  }

  test('a pooler without a database behind it is a database that cannot be reached', limited, async () => {
    await through(
      'session',
      async ({ url }) => {
        await stopEmbedded({ folder: folder(), mode: 'fast' });
        try {
          const db = openDatabase(url, { applicationName });
          await assert.rejects(async () => await db`select 1`);
          await db.end({ timeout: 1 });
        } finally {
          server = await startEmbedded({ folder: folder(), settings });
        }
      },
      { server_login_retry: 1 },
    );
  });
});
