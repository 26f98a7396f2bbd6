/** Sessions through a real pgbouncer, while the PostgreSQL behind it is restarted, killed, and its sessions are ended. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { lacks } from '../base/test-clients.ts';
import { until } from '../base/test-condition.ts';
import { openDatabase } from './connection.ts';
import { type EmbeddedServer, startEmbedded, stopEmbedded } from './embedded/server.ts';
import { type Pgbouncer, type PoolMode, startPgbouncer } from './pgbouncer-fixture.ts';
import { assertOwnSessions } from './pooler-check.ts';

const limited = { timeout: 180_000 };
const settings = { fsync: 'off', full_page_writes: 'off', shared_buffers: '32MB' };
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
          await db`create table if not exists kept (n bigint generated always as identity, told text)`;
          const heard: string[] = [];
          await db.listen('pooled', (payload) => heard.push(payload));
          let rounds = 0;
          let stopping = false;
          const lost: string[] = [];
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
              const answer = await db
                .begin(async (tx) => (await tx`insert into kept (told) values ('x') returning n`).length)
                .catch((error: unknown) => lost.push(String(error)));
              assert.ok(answer > 0);
            }
          };
          const loops = Promise.all([read(), read(), read(), write(), write(), write()]);
          try {
            for (let round = 0; round < 3; round += 1) {
              const before = rounds;
              await until('statements are answered', 60_000, () => rounds > before + 20);
              await end();
              server = await startEmbedded({ folder: folder(), settings });
            }
            const before = rounds;
            await until('statements are answered again', 90_000, () => rounds > before + 20);
            await until('notifications arrive again', 60_000, async () => {
              await db`select pg_notify('pooled', 'here')`;
              return heard.includes('here');
            });
          } finally {
            stopping = true;
            await loops;
            await db.end({ timeout: 5 });
          }
          // At most what was under way each time: as many as there are writers, and each may meet the end twice.
          assert.ok(lost.length <= 3 * 3 * 2, lost.join('\n'));
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
