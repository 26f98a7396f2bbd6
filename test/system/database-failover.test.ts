/**
 * A whole domain whose database has two hosts, while the primary is killed, or vanishes without a word, and its standby takes
 * its place: every process follows, nobody is refused what only had to wait, no tunnel breaks, and what was acknowledged is there.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import postgres from 'postgres';
import { accountOperations } from '../../src/api/accounts.ts';
import { clientOf } from '../../src/api/client-fixture.ts';
import { startPair } from '../../src/database/cluster-fixture.ts';
import { startForwarder } from '../../src/database/forwarder-fixture.ts';
import { until } from '../../src/testing/condition.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, readEvidence, untilServed } from '../harness/evidence.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { startInternalHost, startWorkload } from '../harness/workload.ts';

const devices = 8;

interface ProcessRow {
  name: string;
  kind: string;
  pid: number;
  url: string;
}

for (const vanishes of [false, true]) {
  const how = vanishes ? 'vanishes without a word' : 'is killed';
  test(`a primary that ${how}: every process goes on with its standby, and nobody is refused`, {
    timeout: 300_000,
  }, async (t) => {
    await failOver(t, vanishes);
  });
}

async function failOver(t: TestContext, vanishes: boolean): Promise<void> {
  const { primary, standby } = await startPair(t, { max_connections: '200', shared_buffers: '64MB' });
  const forwarder = await startForwarder(t, primary.url);
  const url = primary.url.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${forwarder.port},127.0.0.1:${standby.port}`);
  const { file } = await workingTreeArchive();
  // The test itself looks at the standby, before and after.
  const domain = await startDomain({ archive: file, instances: 2, externalDatabase: { url, outside: standby.url } });
  t.after(() => domain.stop());
  const internal = await startInternalHost();
  t.after(() => internal.server.close());
  await configureDomain(domain, internal.target);
  const journal = join(domain.home, 'journal.ndjson');
  const fleet = await enrolFleet(domain, { devices, accounts: 4, seed: 'failover', interval: '600ms', journal });
  t.after(() => fleet.stop());

  const before = await processes(domain);
  const work = startWorkload(domain, fleet, internal.target, {
    commandIntervalMs: 50,
    tunnels: 4,
    tunnelMs: 3_600_000,
  });
  t.after(() => work.stop());
  const writer = startWriter(before.find(({ kind }) => kind === 'administration')?.url ?? '', domain.token);
  t.after(() => writer.stop());
  await untilServed(domain, fleet);
  await until('all are at work', 60_000, async () => writer.acknowledged.size > 0 && work.enqueued.size > 0);

  const since = Date.now();
  if (vanishes) forwarder.swallow();
  await primary.kill();
  const promoter = postgres(standby.url, { max: 1, fetch_types: false });
  await promoter`select pg_promote()`;
  await promoter.end();
  const promoted = writer.acknowledged.size;

  await untilServed(domain, fleet);
  await until('an account is made in the new primary', 60_000, async () => writer.acknowledged.size > promoted);
  await until('every lease is renewed', 60_000, async () => {
    const [row] = await domain.sql`
      select count(*)::int as dead from component where stopped_at is null and lease_until < clock_timestamp()`;
    return row?.['dead'] === 0;
  });
  await until('every process is ready', 60_000, async () => {
    const answers = await Promise.all(before.map(async ({ url: own }) => (await fetch(`${own}/readyz`)).status));
    return answers.every((status) => status === 200);
  });
  assert.deepEqual(await processes(domain), before);
  assert.equal(domain.supervisor.exitCode ?? domain.supervisor.signalCode, null);

  await writer.stop();
  const kept = await domain.sql<{ name: string }[]>`
    select name from account where name = any(${[...writer.acknowledged]})`;
  assert.equal(kept.length, writer.acknowledged.size, 'an acknowledged account is lost');
  const answered = (await readEvidence(fleet)).journal.filter((entry) => entry.event === 'request');
  const latest = answered.filter(({ startedAt, latencyMs }) => startedAt + latencyMs > since);
  t.diagnostic(
    `${writer.acknowledged.size} accounts and ${work.enqueued.size} commands acknowledged; ` +
      `the longest of ${latest.length} requests took ${Math.round(Math.max(...latest.map(({ latencyMs }) => latencyMs)))} ms`,
  );
  await work.stop();
  const { journal: entries } = await assertNothingLost(domain, fleet, { enqueued: work.enqueued });
  const refused = entries.flatMap((entry) => (entry.event === 'request' && entry.failure !== undefined ? [entry] : []));
  t.diagnostic(`${refused.length} requests failed`);
  assert.deepEqual([refused, entries.filter(({ event }) => event === 'tunnel-broken')], [[], []]);
}

async function processes(domain: RunningDomain): Promise<ProcessRow[]> {
  return await domain.sql<ProcessRow[]>`
    select name, kind, process_id as pid, loopback_url as url from component where stopped_at is null order by name`;
}

/** Makes one account after the other, and remembers those that were acknowledged. */
function startWriter(url: string, token: string) {
  const client = clientOf({ url, token });
  const ending = new AbortController();
  const acknowledged = new Set<string>();
  let asked = 0;
  const writing = (async () => {
    while (!ending.signal.aborted) {
      asked += 1;
      const name = `written-${asked}`;
      // A write whose session was lost is not repeated: it may have been carried out.
      const made = await client.call(accountOperations.create, { body: { name } }).catch(() => undefined);
      if (made) acknowledged.add(name);
      await delay(10, undefined, { signal: ending.signal }).catch(() => {});
    }
  })();
  return {
    acknowledged,
    async stop(): Promise<void> {
      ending.abort();
      await writing;
    },
  };
}
