/** `bramble administrator`, and what the links that it shows are good for. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { openBrowser } from '../testing/browser-session.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';
import { tellFirstSignIn, whileTelling } from './first-sign-in.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const bramble = (...argv: string[]) => runBramble(admin, argv);
const password = 'seven wet otters';

function codeIn(text: string): string {
  const [, code] = /#code=([\w-]{43})\s*$/.exec(text) ?? [];
  assert.ok(code, text);
  return code;
}

test('the link stands at the console, with the code where no server sees it', async () => {
  assert.match((await bramble('administrator', 'invite')).output, new RegExp(`^${admin.url}/#code=`, 'm'));
  await writeFile(join(admin.home, 'console.json'), JSON.stringify({ url: 'http://localhost:3180' }));
  const { output } = await bramble('administrator', 'invite');
  assert.match(output, /^http:\/\/localhost:3180\/#code=[\w-]{43}$/m);
});

test('who starts a domain is told where to sign in, until there is an administrator', async () => {
  await writeFile(join(admin.home, 'admin.json'), JSON.stringify({ url: admin.url, token: admin.token }));
  let told = '';
  const told1 = Promise.withResolvers<void>();
  const write = (text: string) => {
    told += text;
    told1.resolve();
  };
  await whileTelling({ home: admin.home, write }, async () => await told1.promise);
  const browser = openBrowser(admin.url);
  const { status } = await browser.call('POST', '/sign-in/code', { code: codeIn(told), name: 'ada', password });
  assert.equal(status, 200);
  const { code, errors } = await bramble('administrator', 'invite');
  assert.deepEqual([code, /ERR_CONFLICT/.test(errors)], [exitCode.refused, true]);
  told = '';
  await tellFirstSignIn({ home: admin.home, write, signal: new AbortController().signal });
  assert.match(told, /^The console:\n {2}http:\/\/localhost:3180$/m);
});

test('one who is added signs in with the link, has the rights of the role, and loses the session with it', async () => {
  const { output } = await bramble('administrator', 'add', 'grace', '--role', 'junior-helpdesk');
  const browser = openBrowser(admin.url);
  const { status } = await browser.call('POST', '/sign-in/code', { code: codeIn(output), password });
  assert.equal(status, 200);
  assert.equal((await browser.call('GET', '/accounts')).status, 200);
  assert.equal((await browser.call('POST', '/accounts', { name: 'x' })).status, 403);
  assert.equal((await browser.call('GET', '/administrators')).status, 403);

  assert.match((await bramble('administrator', 'list')).output, /^grace +junior-helpdesk +all +active +no +1$/m);
  assert.equal((await bramble('administrator', 'set', 'grace', '--role', 'senior-helpdesk')).code, exitCode.ok);
  assert.equal((await browser.call('GET', '/me')).status, 401);
});

test('who is reset, disabled or removed is out, and the last of the role security stays', async () => {
  const grace = openBrowser(admin.url);
  await grace.call('POST', '/sign-in', { name: 'grace', password });
  const { output } = await bramble('administrator', 'reset', 'grace', '--yes');
  assert.equal((await grace.call('GET', '/me')).status, 401);
  assert.equal((await grace.call('POST', '/sign-in', { name: 'grace', password })).status, 401);
  assert.equal((await grace.call('POST', '/sign-in/code', { code: codeIn(output), password })).status, 200);
  await bramble('administrator', 'disable', 'grace');
  assert.equal((await grace.call('GET', '/me')).status, 401);
  assert.equal((await openBrowser(admin.url).call('POST', '/sign-in', { name: 'grace', password })).status, 401);
  await bramble('administrator', 'enable', 'grace');
  assert.equal((await openBrowser(admin.url).call('POST', '/sign-in', { name: 'grace', password })).status, 200);
  assert.equal((await bramble('administrator', 'remove', 'grace')).code, exitCode.ok);
  for (const argv of [['disable'], ['remove'], ['set', '--role', 'enterprise'], ['set', '--group', 'sales']]) {
    if (argv.includes('sales')) await bramble('group', 'create', 'sales');
    const [verb = '', ...flags] = argv;
    const refused = await bramble('administrator', verb, 'ada', ...flags);
    assert.deepEqual([refused.code, /ERR_CONFLICT/.test(refused.errors)], [exitCode.refused, true], refused.errors);
  }
});

test('who gives access proves anew who he is after a while, and gives no more than he has', async () => {
  const ada = openBrowser(admin.url);
  await ada.call('POST', '/sign-in', { name: 'ada', password });
  await admin.db`update administrator_session set proven_at = now() - interval '16 minutes'`;
  const helper = { name: 'helper', role: 'server-only' };
  const refused = await ada.call('POST', '/administrators', helper);
  assert.deepEqual([refused.status, (refused.body as { code: string }).code], [403, 'ERR_PROOF_NEEDED']);
  assert.equal((await ada.call('POST', '/session/proof', { password: 'not this one' })).status, 401);
  assert.equal((await ada.call('POST', '/session/proof', { password })).status, 204);
  assert.equal((await ada.call('POST', '/administrators', helper)).status, 201);
  assert.equal((await ada.call('POST', '/administrators', { ...helper, name: 'x', role: 'nobody' })).status, 404);
});
