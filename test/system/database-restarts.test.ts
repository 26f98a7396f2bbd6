/**
 * A whole domain that reaches PostgreSQL through pgbouncer, while PostgreSQL is restarted and killed: no process ends of it, and no
 * device and no administrator is refused what only had to wait.
 */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { lacks } from '../../src/base/test-clients.ts';
import { until } from '../../src/base/test-condition.ts';
import { type EmbeddedServer, startEmbedded, stopEmbedded } from '../../src/database/embedded/server.ts';
import { type Pgbouncer, startPgbouncer } from '../../src/database/pgbouncer-fixture.ts';
import { summarizeRequests } from '../../src/simulator/journal-summary.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { readEvidence } from '../harness/evidence.ts';
import { type RunningFleet, startFleet } from '../harness/fleet.ts';
import { configureDomain } from '../harness/preparation.ts';
import { durableDatabase } from '../harness/processes.ts';

const limited = { timeout: 300_000 };

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
    fleet = await startFleet(domain, { devices, accounts: 4, seed: 'pooled', interval: '300ms', journal });
  });
  after(async () => {
    await fleet?.stop();
    await domain?.stop();
    await pooler?.stop();
    await stopEmbedded({ folder: root, mode: 'immediate' });
    await rm(root, { recursive: true, force: true });
  });

  const processes = async () =>
    await domain.sql<ProcessRow[]>`
      select name, kind, process_id as pid, loopback_url as url from component where stopped_at is null order by name`;

  const ends: Readonly<Record<string, () => Promise<unknown>>> = {
    'is restarted': async () => await stopEmbedded({ folder: root, mode: 'fast' }),
    'is killed': async () => {
      process.kill(server.pid, 'SIGKILL');
    },
  };
  let ended = 0;
  for (const [how, end] of Object.entries(ends)) {
    test(
      `every process is the same one and answers after PostgreSQL ${how}, and only what was being written is refused`,
      limited,
      async () => {
        const before = await processes();
        assert.deepEqual([...new Set(before.map(({ kind }) => kind))].sort(), [
          'administration',
          'connection',
          'router',
          'server',
        ]);
        const administration = before.find(({ kind }) => kind === 'administration')?.url;
        const statuses = new Set<number>();
        let asking = true;
        const asked = (async () => {
          while (asking) {
            const answer = await fetch(`${administration}/api/v1/accounts`, {
              headers: { authorization: `Bearer ${domain.token}` },
              signal: AbortSignal.timeout(60_000),
            });
            await answer.arrayBuffer();
            statuses.add(answer.status);
          }
        })();
        for (let round = 0; round < 2; round += 1) {
          await end();
          ended += 1;
          server = await startEmbedded({ folder: root, settings: durableDatabase });
          const { before: at } = await domain.sql<{ before: Date }[]>`select clock_timestamp() as before`.then(
            ([row]) => row ?? { before: new Date() },
          );
          await until('devices are served again', 60_000, async () => {
            const [row] =
              await domain.sql`select 1 from device where last_seen_at > ${at}::timestamptz + interval '1 second'`;
            return row !== undefined;
          });
          await until('every process is ready', 60_000, async () => {
            const answers = await Promise.all(before.map(async ({ url }) => (await fetch(`${url}/readyz`)).status));
            return answers.every((status) => status === 200);
          });
        }
        asking = false;
        await asked;
        await until('every lease is renewed', 60_000, async () => {
          const [row] = await domain.sql`
          select count(*)::int as dead from component where stopped_at is null and lease_until < clock_timestamp()`;
          return row?.['dead'] === 0;
        });
        assert.deepEqual(await processes(), before);
        assert.equal(domain.supervisor.exitCode ?? domain.supervisor.signalCode, null);
        assert.deepEqual([...statuses], [200]);
        const { failed, failedByClass, ok } = summarizeRequests((await readEvidence(fleet)).journal);
        assert.ok(ok > 20);
        // Of a write whose session is lost nobody knows whether it was done; a device has one request under way.
        assert.equal(failed, failedByClass.unavailable ?? 0);
        assert.ok(failed <= ended * devices, `${failed} were refused in ${ended} ends`);
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
