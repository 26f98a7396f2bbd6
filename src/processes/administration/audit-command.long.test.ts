/** `bramble audit`: lists, verifies and exports what was recorded, and finds what was changed. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openHeadFile } from '../../access/audit/head-file.ts';
import { readHead } from '../../access/audit/sealer.ts';
import { accountOperations } from '../../api/accounts.ts';
import { clientOf } from '../../api/client-fixture.ts';
import { runBramble } from '../../cli/command-line-fixture.ts';
import { stopOwnCluster, useOwnCluster } from '../../database/database-fixture.ts';
import { seedDevice } from '../../devices/device-fixture.ts';
import { until } from '../../testing/condition.ts';
import { startAdministration } from './administration-fixture.ts';

// Records are sealed once no transaction of the whole cluster is older.
useOwnCluster();
const admin = await startAdministration();
after(async () => await admin.close());
after(stopOwnCluster);

const bramble = (...argv: string[]) => runBramble(admin, argv);

before(async () => {
  await admin.call('POST', '/accounts', { name: 'Grace', instance: 'one' });
  await admin.call('POST', '/it-policies', { name: 'tight', rules: { passwordMinimumLength: 6 } });
  await admin.call('PUT', '/it-policies/tight', { rules: { passwordMinimumLength: 8 } });
  const lines = Array.from({ length: 60 }, (_, index) => JSON.stringify({ name: `imported-${index}` })).join('\n');
  await clientOf(admin).upload(accountOperations.import, new Blob([lines]).stream());
});

test('bramble audit list says what was made, and counts changes of one kind', async () => {
  const made = await bramble('audit', 'list', '--operation', 'POST /accounts', '--subject', 'grace');
  assert.match(made.output, /POST \/accounts +grace/);
  const ids: string[] = [];
  const [instance] = await admin.db<{ id: string }[]>`select id from instance where name = 'one'`;
  for (const name of ['held-1', 'held-2']) {
    ids.push((await seedDevice(admin.db, (instance?.id ?? '') as never, name)).deviceId);
  }
  await admin.db`update device set tls_required_at = now(), tls_days = 3 where id = any(${ids}::uuid[])`;
  await admin.call('DELETE', '/tls-identities');
  const cleared = await bramble('audit', 'list', '--operation', 'DELETE /tls-identities', '--limit', '1');
  assert.match(cleared.output, /held-\d and 1 more +update device ×2$/m);
});

test('bramble audit lists, verifies, exports, and its export is verified without a service', async () => {
  const list = await bramble('audit', 'list', '--subject', 'imported-59');
  assert.match(list.output, /first \(token, 127\.0\.0\.1\) +POST \/accounts\/import/);
  const changes = await bramble('audit', 'list', '--subject', 'tight', '--changes');
  assert.match(changes.output, /update it_policy tight: .*"passwordMinimumLength":8/);

  // Seals of transactions that others of this cluster hold back come a little later.
  let verified = await bramble('audit', 'verify');
  await until('every record is sealed', 120_000, async () => {
    verified = await bramble('audit', 'verify');
    return verified.output.includes(', 0 pending');
  });
  assert.equal(verified.code, 0);
  assert.match(verified.output, /audit +intact/);
  const file = await openHeadFile(admin.home);
  await file.append(file.sign(await readHead(admin.db), new Date()));

  const exported = await bramble('audit', 'export');
  assert.equal(exported.code, 0);
  const path = join(admin.home, 'audit.jsonl');
  await writeFile(path, exported.output);
  const heads = join(admin.home, 'audit', 'heads.jsonl');
  const offline = await bramble('audit', 'verify', '--file', path, '--heads', heads);
  assert.equal(offline.code, 0, offline.errors);
  assert.match(offline.output, /stored heads +1/);

  const rest = join(admin.home, 'audit-after-2.jsonl');
  await writeFile(rest, (await bramble('audit', 'export', '--after', '2')).output);
  assert.match((await bramble('audit', 'verify', '--file', rest)).output, /records +3 to \d+ verified\n/);

  await writeFile(path, (await readFile(path, 'utf8')).replaceAll('imported-59', 'imported-60'));
  const forged = await bramble('--json', 'audit', 'verify', '--file', path);
  assert.equal(forged.code, 1);
  assert.equal(JSON.parse(forged.output).findings[0].kind, 'changed');
  const after_ = await bramble('audit', 'export', '--after', '1000000');
  assert.match(after_.errors, /ERR_NOT_FOUND/);
  assert.equal((await bramble('audit', 'verify', '--heads', heads)).code, 2);
});

test('bramble audit verify ends with 1 and names what was changed in the tables', async () => {
  await admin.db.begin(async (tx) => {
    await tx.unsafe('alter table audit_record disable trigger append_only');
    await tx`update audit_record set actor = 'somebody' where id = (select record_id from audit_seal where number = 3)`;
    await tx.unsafe('alter table audit_record enable trigger append_only');
  });
  const { code, output } = await bramble('audit', 'verify');
  assert.equal(code, 1);
  assert.match(output, /3 +changed +Record 3 was changed/);
});
