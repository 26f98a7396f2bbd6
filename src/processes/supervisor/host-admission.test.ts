/** `bramble up` in the home of a further host. */
import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join as pathOf } from 'node:path';
import { after, test } from 'node:test';
import postgres from 'postgres';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { writeHostKey } from '../../hosts/host-key.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { until } from '../../testing/condition.ts';
import { runSupervisor } from './supervisor.ts';
import { configure, newHome } from './supervisor-fixture.ts';

const database = await createTestDatabase();
const sql = postgres(database.url, { max: 2 });
after(async () => await sql.end());

test('a host that was removed, or joined anew elsewhere, runs and reports nothing', { timeout: 60_000 }, async () => {
  const [home, keys, others] = [await newHome([]), await createEcKeyPair(), await createEcKeyPair()];
  await configure(home, 'berlin-2', { url: database.url });
  const privateKeyPem = privateKeyPemOf(keys.privateKey);
  await mkdir(pathOf(home, 'keys'));
  await writeHostKey(home, { privateKeyPem, domainAuthorityPem: 'x' });
  const stop = new AbortController();
  const up = async () => await runSupervisor({ home, signal: stop.signal, onEvent: () => undefined, gatherMs: 0 });
  const reports = async () => (await sql`select from supervisor where host = 'berlin-2'`).length;

  const removed = {
    code: 'ERR_HOST_REMOVED',
    message: /^This host, berlin-2, was removed .*bramble host invite berlin-2/,
  };
  await assert.rejects(up(), removed);
  const join = async (key: KeyObject) =>
    await sql`insert into host (name, public_key, administers) values ('berlin-2', ${spkiDerOf(key)}, false)`;
  await join(others.publicKey);
  await assert.rejects(up(), removed);
  assert.equal(await reports(), 0);

  await sql`delete from host`;
  await join(keys.publicKey);
  const done = up();
  await until('it reports itself', 30_000, async () => (await reports()) === 1);
  stop.abort();
  await done;
});
