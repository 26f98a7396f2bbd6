/**
 * Of two computers, one of which has the database, one vanishes without a word: the other does not wait for long. PostgreSQL alone
 * would for hours, and the kernel for a quarter of an hour.
 */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { openSession } from '../../src/database/session.ts';
import { inTime } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { checkout } from '../harness/archives.ts';
import { type HostNetwork, openHostNetwork, withoutNetworks } from '../harness/host-network.ts';
import { type ReachableDatabase, startReachableDatabase } from '../harness/reachable-database.ts';

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

/** One whose statements wait for the answer of a computer that is gone. */
const asker = `
  import { openSession } from '${join(checkout, 'src/database/session.ts')}';
  const session = await openSession(process.env.HOLDER_DATABASE, { applicationName: 'asker' });
  process.stdout.write('open');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  const outcome = await session.run((sql) => sql\`select 1\`).then(() => 'answered', ({ code }) => code);
  process.stdout.write(outcome);
  process.exit();
`;

interface Neighbourhood {
  readonly network: HostNetwork;
  readonly database: ReachableDatabase;
  /** In a network of its own. */
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
}

/** A database here, and a process beyond that uses it. */
async function startBeyond(t: TestContext, program: string): Promise<Neighbourhood> {
  const network = await openHostNetwork();
  t.after(() => network.remove());
  const database = await startReachableDatabase(network.here);
  t.after(() => database.stop());
  const url = new URL(database.url);
  url.hostname = network.here;
  const [file = '', ...within] = [...network.within, process.execPath];
  const child = spawn(file, [...within, '--input-type=module', '--eval', program], {
    env: { ...process.env, HOLDER_DATABASE: url.href },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await exitWithin(child, 10_000, 'the process beyond');
  });
  return { network, database, child };
}

test('the locks of a computer that is cut off are free again within a minute', {
  skip: withoutNetworks(),
}, async (t) => {
  const { network, database, child } = await startBeyond(t, holder);
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

test('a statement on its way to a computer that is cut off ends within a minute', {
  skip: withoutNetworks(),
}, async (t) => {
  const { network, child } = await startBeyond(t, asker);
  await inTime('the session is open', 30_000, once(child.stdout, 'data'));
  await network.cut('to', 'from');
  child.stdin.write('go');
  const [outcome] = (await inTime('the statement has ended', 60_000, once(child.stdout, 'data'))) as [Buffer];
  assert.match(outcome.toString(), /^CONNECTION_/);
});
