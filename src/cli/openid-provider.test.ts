/** `bramble openid-provider`. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { startOpenidProvider } from '../processes/administration/openid-provider-fixture.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const provider = await startOpenidProvider([]);
const bramble = (argv: readonly string[], input = '') => runBramble(admin, ['openid-provider', ...argv], { input });

test('a provider is added with its secret from standard input, tested, changed, switched and removed', async () => {
  const ca = join(admin.home, 'ca.pem');
  await writeFile(ca, provider.caPem);
  const add = ['add', 'staff', '--issuer', provider.issuer, '--client-id', 'bramble', '--secret-file', '-'];
  const added = await bramble(add, 'a-secret-word\n');
  assert.deepEqual([added.code, added.errors], [0, '']);
  assert.match(added.output, /\/sign-in\/openid\/staff as\sredirect\sURI/);
  assert.match((await bramble(['test', 'staff'])).output, /^not usable: .*certificate/);
  const set = await bramble(['set', 'staff', '--ca', ca, '--title', 'Our staff', '--scopes', 'profile,groups']);
  assert.match(set.output, /^title +Our staff$/m);
  assert.match(set.output, /^secret +set$/m);
  assert.match(set.output, /^scopes +openid, profile, groups$/m);
  assert.match((await bramble(['test', 'staff'])).output, /^usable: https:\/\/localhost:\d+ /);
  assert.match((await bramble(['disable', 'staff'])).output, /staff is disabled/);
  assert.match((await bramble(['list'])).output, /^staff +Our staff +https:\/\/localhost:\d+ +no +0 +0$/m);
  assert.match((await bramble(['enable', 'staff'])).output, /staff is enabled/);
  const shown = await bramble(['show', 'staff', '--json']);
  assert.ok(![shown.output, set.output, added.output].join('').includes('a-secret-word'));
  assert.equal((await bramble(['remove', 'staff'], 'n\n')).code, exitCode.usage);
  assert.match((await bramble(['list'])).output, /^staff /m);
  assert.equal((await bramble(['remove', 'staff'], 'y\n')).code, 0);
  assert.match((await bramble(['list'])).output, /^none$/m);
});

test('values are mapped to roles in their order, and what does not fit is named as it was typed', async () => {
  await bramble([
    'add',
    'staff',
    '--issuer',
    provider.issuer,
    '--client-id',
    'bramble',
    '--claim',
    'realm_access.roles',
  ]);
  await admin.call('POST', '/groups', { name: 'berlin', rank: 61 });
  await bramble(['map', '--role', 'junior-helpdesk', '--group', 'berlin', 'staff', 'desk:berlin']);
  const mapped = await bramble(['map', 'staff', 'admins', '--role', 'security', '--first']);
  assert.match(
    mapped.output,
    /^REALM_ACCESS\.ROLES +ROLE +GROUPS\nadmins +security +all\ndesk:berlin +junior-helpdesk +berlin$/m,
  );
  const at = (value: string) => bramble(['map', 'staff', value, '--role', 'user-only']);
  const ends = await Promise.all(['one', 'two', 'three'].map(at));
  const done = ends.filter(({ code }) => code === 0);
  for (const { code, errors } of ends.filter((end) => !done.includes(end))) {
    assert.deepEqual([code, /ERR_STALE/.test(errors)], [exitCode.refused, true], errors);
  }
  const left = JSON.parse((await bramble(['show', 'staff', '--json'])).output) as { rules: unknown[] };
  assert.equal(left.rules.length, 2 + done.length, 'nobody overwrites what another has added');
  const unmapped = await bramble(['unmap', 'staff', 'admins']);
  assert.doesNotMatch(unmapped.output, /admins/);
  assert.match((await bramble(['map', 'staff', 'x', '--role', 'no-role'])).errors, /role "no-role".*ERR_NOT_FOUND/);
  assert.match((await bramble(['map', 'nobody', 'x', '--role', 'security'])).errors, /ERR_NOT_FOUND/);
  const plain = ['add', 'plain', '--issuer', 'http://id.example.org', '--client-id', 'x'];
  assert.match((await bramble(plain)).errors, /--issuer .*must be https.*ERR_INPUT/);
});

test('who signs in at a provider is no invited one, and it is said where', async () => {
  await admin.db.unsafe(`
    insert into administrator (id, name, role, created_by)
    values ('11111111-1111-4111-8111-111111111111', 'grace', 'security', 'staff'),
           ('22222222-2222-4222-8222-222222222222', 'ada', 'security', 'first');
    insert into administrator_identity (provider, subject, administrator_id)
    values ('staff', 's-1', '11111111-1111-4111-8111-111111111111')`);
  const { output } = await runBramble(admin, ['administrator', 'list']);
  assert.match(output, /^grace +security +all +active +at staff /m);
  assert.match(output, /^ada +security +all +invited +none /m);
});
