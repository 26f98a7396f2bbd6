/**
 * A whole domain that reaches PostgreSQL through pgbouncer, while PostgreSQL is restarted and killed: no process ends of it, and no
 * device and no administrator is refused what only had to wait.
 */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { accountOperations } from '../../src/api/accounts.ts';
import { clientOf } from '../../src/api/client-fixture.ts';
import { type EmbeddedServer, startEmbedded, stopEmbedded } from '../../src/database/embedded/server.ts';
import { type Pgbouncer, startPgbouncer } from '../../src/database/pgbouncer-fixture.ts';
import type { JournalEntry } from '../../src/simulator/journal.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { lacks } from '../../src/testing/clients.ts';
import { until } from '../../src/testing/condition.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { readEvidence } from '../harness/evidence.ts';
import { type RunningFleet, startFleet } from '../harness/fleet.ts';
import { configureDomain } from '../harness/preparation.ts';
import { durableDatabase } from '../harness/processes.ts';

const limited = { timeout: 300_000 };

/** What became of every request that a device was not answered well, as it saw it. */
function refusedRequests(journal: readonly JournalEntry[]): object[] {
  return journal.flatMap((entry) => (entry.event === 'request' && entry.failure !== undefined ? [{ ...entry }] : []));
}

interface ProcessRow {
  name: string;
  kind: string;
  pid: number;
  url: string;
}

describe('a domain behind pgbouncer', { skip: lacks('pgbouncer') }, () => {
  let root: string;
  let server: EmbeddedServer;
  let pooler: Pgbouncer;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  const devices = 8;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'bramble-behind-'));
    await chmod(root, 0o711);
    server = await startEmbedded({ folder: root, settings: durableDatabase });
    pooler = await startPgbouncer(server.url, 'session');
    const { file } = await workingTreeArchive();
    domain = await startDomain({
      archive: file,
      instances: 2,
      externalDatabase: { url: pooler.url, outside: server.url },
    });
    await configureDomain(domain, '127.0.0.1:9');
    const journal = join(domain.home, 'journal.ndjson');
    fleet = await startFleet(domain, { devices, accounts: 4, seed: 'pooled', interval: '600ms', journal });
  });
  after(async () => {
    await fleet?.stop();
    await domain?.stop();
    await pooler?.stop();
    await stopEmbedded({ folder: root, mode: 'immediate' });
    await rm(root, { recursive: true, force: true });
  });

  /** Each device, and each process by its own word. */
  const untilAllServed = async (all: readonly ProcessRow[]) => {
    let from: Date | undefined;
    await until('every device is served again', 60_000, async () => {
      from ??= (await domain.sql<{ at: Date }[]>`select clock_timestamp() as at`)[0]?.at;
      const [row] = await domain.sql<{ seen: number }[]>`
        select count(*)::int as seen from device where last_seen_at > ${from ?? new Date()}`;
      return row?.seen === devices;
    });
    await until('every process is ready', 60_000, async () => {
      const answers = await Promise.all(all.map(async ({ url }) => (await fetch(`${url}/readyz`)).status));
      return answers.every((status) => status === 200);
    });
  };

  const processes = async () =>
    await domain.sql<ProcessRow[]>`
      select name, kind, process_id as pid, loopback_url as url from component where stopped_at is null order by name`;

  const ends: Readonly<Record<string, () => Promise<unknown>>> = {
    'is restarted': async () => await stopEmbedded({ folder: root, mode: 'fast' }),
    'is killed': async () => {
      process.kill(server.pid, 'SIGKILL');
    },
  };
  for (const [how, end] of Object.entries(ends)) {
    test(
      `every process is the same one and answers after PostgreSQL ${how}, and nobody is refused meanwhile`,
      limited,
      async () => {
        const before = await processes();
        assert.deepEqual([...new Set(before.map(({ kind }) => kind))].sort(), [
          'administration',
          'connection',
          'router',
          'server',
        ]);
        const administration = before.find(({ kind }) => kind === 'administration')?.url ?? '';
        // At its address: the domain’s own client asks the database for it.
        const client = clientOf({ url: administration, token: domain.token });
        let answers = 0;
        const ending = new AbortController();
        const asked = (async () => {
          while (!ending.signal.aborted) {
            await client.call(accountOperations.list, { query: {} });
            answers += 1;
            await delay(20, undefined, { signal: ending.signal }).catch(() => {});
          }
        })();
        // Its error is the test's, below.
        asked.catch(() => undefined);
        try {
          for (let round = 0; round < 2; round += 1) {
            await end();
            server = await startEmbedded({ folder: root, settings: durableDatabase });
            await untilAllServed(before);
          }
        } finally {
          ending.abort();
        }
        await asked;
        await until('every lease is renewed', 60_000, async () => {
          const [row] = await domain.sql`
          select count(*)::int as dead from component where stopped_at is null and lease_until < clock_timestamp()`;
          return row?.['dead'] === 0;
        });
        assert.deepEqual(await processes(), before);
        assert.equal(domain.supervisor.exitCode ?? domain.supervisor.signalCode, null);
        assert.ok(answers > 0);
        const { journal } = await readEvidence(fleet);
        assert.ok(summarizeRequests(journal).ok > 20);
        // Enrolled devices only connect: all of that comes through, or is sent again by the instance.
        assert.deepEqual(refusedRequests(journal), []);
      },
    );
  }

  test('the supervisor goes on with its work', limited, async () => {
    const [{ pid } = { pid: 0 }] = (await processes()).filter(({ kind }) => kind === 'connection');
    process.kill(pid, 'SIGKILL');
    await until('the killed process is replaced', 60_000, async () =>
      (await processes()).some((row) => row.kind === 'connection' && row.pid !== pid && row.url !== null),
    );
  });
});

test('a domain is not made behind a pooler in transaction mode, and the reason is said', {
  ...limited,
  skip: lacks('pgbouncer'),
}, async () => {
  const root = await mkdtemp(join(tmpdir(), 'bramble-behind-'));
  await chmod(root, 0o711);
  const { url } = await startEmbedded({ folder: root, settings: durableDatabase });
  const pooler = await startPgbouncer(url, 'transaction');
  try {
    const { file } = await workingTreeArchive();
    await assert.rejects(
      startDomain({ archive: file, instances: 1, externalDatabase: { url: pooler.url, outside: url } }),
      /pool_mode/,
    );
  } finally {
    await pooler.stop();
    await stopEmbedded({ folder: root, mode: 'immediate' });
    await rm(root, { recursive: true, force: true });
  }
});
