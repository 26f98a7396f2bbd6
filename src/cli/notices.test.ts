/** `bramble notice`. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startMailReceiver } from '../notices/mail-receiver-fixture.ts';
import { readMailServer } from '../notices/mail-server.ts';
import { postWebhook, withKey } from '../notices/webhook.ts';
import { startWebhookReceiver } from '../notices/webhook-receiver-fixture.ts';
import { signatureHeaders } from '../notices/webhook-signature.ts';
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
  assert.match(added.output, /\n\nA new key is in .*hook\.key: give the receiver a copy, /);
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

test('what a target is told is changed', async () => {
  await bramble(['notice', 'add', 'mail', 'ops@example.org']);
  const change = (...more: string[]) => bramble(['notice', 'change', 'ops@example.org', ...more]);
  assert.match((await change('--kinds', 'host-lost,backup-failed')).output, /^kinds +host-lost, backup-failed$/m);
  assert.match((await change('--all-kinds')).output, /^kinds +all$/m);
  assert.match((await change()).errors, /Give --kinds or --all-kinds\..*ERR_USAGE/);
  assert.match((await change('--kinds', 'host-lost', '--all-kinds')).errors, /ERR_USAGE/);
  assert.match((await change('--kinds', 'host')).errors, /--kinds.*ERR_INPUT/);
  assert.match((await bramble(['notice', 'change', 'nobody', '--all-kinds'])).errors, /ERR_NOT_FOUND/);
});

test('with another key what is sent is signed by both, until the receiver has had a day', async () => {
  const hook = await startWebhookReceiver();
  await bramble(['notice', 'add', 'webhook', hook.url, '--name', 'rekeyed', '--key-file', '-'], key);
  const next = `whsec_${Buffer.alloc(32, 'another').toString('base64')}`;
  const rekey = await bramble(['notice', 'rekey', 'rekeyed', '--key-file', '-'], `${next}\n`);
  assert.deepEqual([rekey.code, rekey.output.includes(next)], [0, false]);
  await bramble(['notice', 'test', 'rekeyed']);
  const [sent] = hook.received;
  assert.ok(sent);
  const { 'webhook-id': id = '', 'webhook-timestamp': at = '', 'webhook-signature': signature } = sent.headers;
  const content = { id: String(id), at: new Date(Number(at) * 1000), body: sent.body };
  const both = [next, key].map((each) => signatureHeaders([each], content)['webhook-signature']);
  assert.equal(signature, both.join(' '));

  const webhook = { url: hook.url, key };
  const yesterday = withKey(webhook, next, new Date(Date.now() - 86_400_001));
  await postWebhook(yesterday, { ...content, kind: 'test', subject: null, message: '' }, 'x', {
    signal: new AbortController().signal,
  });
  assert.doesNotMatch(String(hook.received[1]?.headers['webhook-signature']), / /);
  assert.equal(withKey(webhook, key, new Date()), webhook, 'the same key is no change');

  await bramble(['notice', 'add', 'mail', 'rekey@example.org']);
  assert.match((await bramble(['notice', 'rekey', 'rekey@example.org', '--key-file', '-'], next)).errors, /ERR_STATE/);
  assert.match((await bramble(['notice', 'rekey', 'nobody', '--key-file', '-'], next)).errors, /ERR_NOT_FOUND/);
});

test('the status names the target that cannot be told, and why', async () => {
  await bramble(['notice', 'add', 'webhook', 'https://hooks.example.org', '--name', 'down', '--key-file', '-'], key);
  const line = /^notices +2 wait for down, which failed 3 times: 503 no: `bramble notice list`$/m;
  assert.doesNotMatch((await bramble(['status'])).output, /^notices/m);
  await admin.db`
    insert into event (kind, message) values ('backup-failed', 'one'), ('backup-failed', 'two')`;
  await admin.db`update notice_target set failures = 3, last_error = '503 no', last_error_at = now() where name = 'down'`;
  assert.match((await bramble(['status'])).output, line);
  await bramble(['notice', 'remove', 'down']);
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

test('the mail server’s password is sealed for its host, kept for it alone, and shown nowhere', async () => {
  const set = (host: string, ...more: string[]) => [
    ...['notice', 'mail-server', 'set', host, '--sender', 'bramble@example.org', '--user', 'bramble', ...more],
  ];
  assert.match((await bramble(set('mail.example.org'))).errors, /password is missing: there is none for this host/);
  const open = set('mail.example.org', '--password-file', '-', '--security', 'none');
  assert.match((await bramble(open, 'hunter-22')).errors, /--security.*in the clear/);

  const done = await bramble(set('mail.example.org', '--password-file', '-'), 'hunter-22\n');
  for (const line of [/^host +mail\.example\.org:587$/m, /^security +starttls$/m, /^password +set$/m]) {
    assert.match(done.output, line);
  }
  const opened = async () => (await readMailServer(admin.db, admin.context.masterKeys))?.password;
  assert.equal(await opened(), 'hunter-22');

  assert.equal((await bramble(set('mail.example.org', '--port', '465'))).code, 0);
  assert.equal(await opened(), 'hunter-22', 'it stays for the same host and user');
  assert.match((await bramble(set('evil.example.org'))).errors, /password is missing: there is none for this host/);
  await admin.db`update notice_mail_server set host = 'evil.example.org'`;
  await assert.rejects(opened(), { code: 'ERR_SEALED_VALUE' });

  const shown = await bramble(['notice', 'mail-server', 'show', '--json']);
  const audited = JSON.stringify(await admin.db`select * from audit_record`);
  for (const text of [done.output, shown.output, audited]) assert.ok(!text.includes('hunter-22'), text);
  assert.equal((await bramble(['notice', 'mail-server', 'remove'])).code, 0);
  assert.match((await bramble(['notice', 'mail-server', 'show'])).output, /^none$/m);
});

test('a test notice says what the other side answered, and is recorded', async () => {
  const [hook, mail] = [await startWebhookReceiver(), await startMailReceiver()];
  hook.answer = (response) => void response.writeHead(200).end('thanks');
  await bramble(['notice', 'add', 'webhook', hook.url, '--name', 'hook', '--key-file', '-'], key);
  await bramble(['notice', 'add', 'mail', 'ops@example.org', 'night@example.org', '--name', 'ops']);
  const sent = await bramble(['notice', 'test', 'hook']);
  assert.deepEqual([sent.code, sent.output], [0, 'delivered: 200 OK: thanks\n']);
  assert.equal(hook.received[0]?.json.type, 'test');

  const without = await bramble(['notice', 'test', 'ops']);
  assert.equal(without.code, 1);
  assert.match(without.output, /^not delivered: no mail server is set: `bramble notice mail-server set`$/m);
  const security = ['--security', 'none', '--port', String(mail.port)];
  await bramble(['notice', 'mail-server', 'set', '127.0.0.1', '--sender', 'bramble@example.org', ...security]);
  assert.equal((await bramble(['notice', 'test', 'ops'])).output, 'delivered: 250 taken\n');
  assert.deepEqual(mail.received[0]?.to, ['ops@example.org', 'night@example.org']);

  const events = await bramble(['events']);
  assert.match(events.output, /first had a test notice sent to hook: delivered, 200 OK: thanks/);
  assert.match((await bramble(['notice', 'test', 'nobody'])).errors, /ERR_NOT_FOUND/);
});
