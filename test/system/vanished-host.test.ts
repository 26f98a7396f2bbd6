/** A computer that vanishes in the middle of a transaction keeps nobody waiting for long: PostgreSQL alone would wait for hours. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSession } from '../../src/database/session.ts';
import { inTime } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { checkout } from '../harness/archives.ts';
import { openHostNetwork, withoutNetworks } from '../harness/host-network.ts';
import { startReachableDatabase } from '../harness/reachable-database.ts';

const holder = `
  import { openDatabase } from '${join(checkout, 'src/database/connection.ts')}';
  const db = openDatabase(process.env.HOLDER_DATABASE, { applicationName: 'holder' });
  const holding = db.begin(async (tx) => {
    await tx\`select pg_advisory_xact_lock(1)\`;
    process.stdout.write('held');
    await new Promise(() => setInterval(() => {}, 60_000));
  });
  // It loses its session, in the end.
  await holding.catch(() => {});
`;

test('the locks of a computer that is cut off are free again within a minute', {
  skip: withoutNetworks(),
}, async (t) => {
  const network = await openHostNetwork();
  t.after(() => network.remove());
  const database = await startReachableDatabase(network.here);
  t.after(() => database.stop());
  const url = new URL(database.url);
  url.hostname = network.here;
  const [file = '', ...within] = [...network.within, process.execPath];
  const child = spawn(file, [...within, '--input-type=module', '--eval', holder], {
    env: { ...process.env, HOLDER_DATABASE: url.href },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await exitWithin(child, 10_000, 'the holder');
  });
  await inTime('the lock is held', 30_000, once(child.stdout, 'data'));
  const session = await openSession(database.url, { applicationName: 'waiter' });
  t.after(() => session.close());
  await network.cut('to', 'from');
  const taken = await inTime(
    'the lock is free',
    60_000,
    session.run((sql) => sql`select pg_advisory_lock(1) is not null as taken`),
  );
  assert.equal(taken[0]?.['taken'], true);
});
