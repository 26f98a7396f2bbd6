/** `bramble notice`. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { runBramble } from './command-line-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const bramble = (argv: readonly string[], input = '') => runBramble(admin, argv, { input });
const key = `whsec_${Buffer.alloc(32, 'secret').toString('base64')}`;

test('a webhook is added with a key that bramble makes, listed without its path, and removed', async () => {
  const file = join(admin.home, 'hook.key');
  const url = 'https://hooks.example.org/T0/path-that-is-secret';
  const added = await bramble(['notice', 'add', 'webhook', url, '--key-file', file, '--kinds', 'upgrade-paused']);
  assert.deepEqual([added.code, added.errors], [0, '']);
  const kept = (await readFile(file, 'utf8')).trim();
  assert.match(kept, /^whsec_[A-Za-z0-9+/]{43}=$/);
  assert.equal((await stat(file)).mode & 0o777, 0o600);

  const listed = await bramble(['notice', 'list', '--json']);
  const { targets } = JSON.parse(listed.output) as {
    targets: { name: string; addresses: string[]; kinds: string[] }[];
  };
  assert.deepEqual(
    targets.map(({ name, addresses, kinds }) => ({ name, addresses, kinds })),
    [{ name: 'hooks.example.org', addresses: ['https://hooks.example.org/…'], kinds: ['upgrade-paused'] }],
  );
  const stored = JSON.stringify(await admin.db`select * from notice_target`);
  const audited = JSON.stringify(await admin.db`select * from audit_record`);
  for (const text of [added.output, listed.output, stored, audited]) {
    assert.ok(!text.includes(kept) && !text.includes('path-that-is-secret'), text);
  }

  const removed = await bramble(['notice', 'remove', 'hooks.example.org']);
  assert.deepEqual([removed.code, removed.output], [0, 'The target hooks.example.org is removed.\n']);
  assert.match((await bramble(['notice', 'list'])).output, /^none$/m);
});

test('a key that exists is taken, from a file or from standard input', async () => {
  const add = (name: string) => [
    'notice',
    'add',
    'webhook',
    'https://hooks.example.org',
    '--name',
    name,
    '--key-file',
    '-',
  ];
  assert.equal((await bramble(add('piped'), `${key}\n`)).code, 0);
  const again = await bramble(add('piped'), key);
  assert.match(again.errors, /already exists.*ERR_NAME_TAKEN/);
  const short = await bramble(add('short'), 'whsec_abc');
  assert.match(short.errors, /24 to 64 bytes in base64/);
  assert.ok(!short.errors.includes('whsec_abc'), 'a key is not repeated');
});

test('what cannot be sent to is refused', async () => {
  const add = (url: string, ...more: string[]) =>
    bramble(['notice', 'add', 'webhook', url, '--key-file', '-', ...more], key);
  assert.match((await add('http://hooks.example.org')).errors, /https.*ERR_INPUT/);
  assert.match((await add('https://hooks.example.org', '--kinds', 'everything')).errors, /upgrade-paused.*ERR_INPUT/);
  assert.match((await bramble(['notice', 'remove', 'nobody'])).errors, /There is no target "nobody".*ERR_NOT_FOUND/);
});
