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

  assert.match((await bramble('administrator', 'list')).output, /^grace +junior-helpdesk +all +active +none +1$/m);
  assert.equal((await bramble('administrator', 'set', 'grace', '--role', 'senior-helpdesk')).code, exitCode.ok);
  assert.equal((await browser.call('GET', '/me')).status, 401);
});

test('an invitation is good for once', async () => {
  const { output } = await bramble('administrator', 'add', 'hedy', '--role', 'junior-helpdesk');
  const use = async (word: string) =>
    (await openBrowser(admin.url).call('POST', '/sign-in/code', { code: codeIn(output), password: word })).status;
  assert.equal(await use(password), 200);
  assert.equal(await use(`${password} of another`), 400);
  assert.equal((await openBrowser(admin.url).call('POST', '/sign-in', { name: 'hedy', password })).status, 200);
});

test('groups have commas between them, and take no word that stands behind them', async () => {
  for (const group of ['sales', 'berlin']) await bramble('group', 'create', group);
  const added = await bramble('administrator', 'add', '--role', 'junior-helpdesk', '--group', 'sales,berlin', 'mary');
  assert.deepEqual([added.code, added.errors], [exitCode.ok, '']);
  const changed = await bramble('administrator', 'set', '--group', 'sales', 'mary');
  assert.match(changed.output, /^mary: role junior-helpdesk, groups sales\.$/m);
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
  const unasked = await bramble('administrator', 'remove', 'grace');
  assert.deepEqual([unasked.code, /gone for good/.test(unasked.errors)], [exitCode.usage, true], unasked.errors);
  assert.match((await bramble('administrator', 'list')).output, /^grace /m);
  assert.equal((await bramble('administrator', 'remove', 'grace', '--yes')).code, exitCode.ok);
  for (const argv of [['disable'], ['remove', '--yes'], ['set', '--role', 'enterprise'], ['set', '--group', 'sales']]) {
    if (argv.includes('sales')) await bramble('group', 'create', 'sales');
    const [verb = '', ...flags] = argv;
    const refused = await bramble('administrator', verb, 'ada', ...flags);
    assert.deepEqual([refused.code, /ERR_CONFLICT/.test(refused.errors)], [exitCode.refused, true], refused.errors);
  }
});

test('sessions are listed and ended, one and all of somebody', async () => {
  const { output } = await bramble('administrator', 'add', 'alan', '--role', 'enterprise');
  const browsers = [openBrowser(admin.url), openBrowser(admin.url), openBrowser(admin.url)];
  const [first, ...others] = browsers;
  assert.equal((await first?.call('POST', '/sign-in/code', { code: codeIn(output), password }))?.status, 200);
  for (const browser of others) await browser.call('POST', '/sign-in', { name: 'alan', password });
  const listed = await bramble('session', 'list', '--administrator', 'alan', '--json');
  const { sessions } = JSON.parse(listed.output) as { sessions: { id: string; method: string }[] };
  assert.deepEqual(sessions.map(({ method }) => method).sort(), ['code', 'password', 'password']);
  const id = sessions.find(({ method }) => method === 'code')?.id ?? '';
  assert.match((await bramble('session', 'list')).output, new RegExp(`^${id} +alan +code +127.0.0.1 `, 'm'));
  assert.equal((await bramble('session', 'end', id)).code, exitCode.ok);
  assert.equal((await bramble('session', 'end', id)).code, exitCode.notFound);
  const inside = async () => await Promise.all(browsers.map(async (one) => (await one.call('GET', '/me')).status));
  assert.deepEqual(await inside(), [401, 200, 200]);
  assert.equal((await bramble('session', 'end')).code, exitCode.usage);
  assert.equal((await bramble('session', 'end', '--administrator', 'alan')).code, exitCode.ok);
  assert.deepEqual(await inside(), [401, 401, 401]);
});

test('what somebody signs in with is shown, asked for, and taken away by itself', async () => {
  assert.match((await bramble('administrator', 'second-factor')).output, /^asked of +nobody$/m);
  const { output } = await bramble('administrator', 'second-factor', '--role', 'enterprise');
  assert.match(output, /^asked of +the roles enterprise\nto be set up by +alan$/m);
  assert.match((await bramble('administrator', 'list')).output, /^alan +enterprise +all +active +to be set up +0$/m);
  const unknown = await bramble('administrator', 'second-factor', '--role', 'nobody-has-it');
  assert.equal(unknown.code, exitCode.notFound, unknown.errors);
  await admin.db`
    insert into administrator_passkey (id, credential, administrator_id, public_key, algorithm, sign_count, transports, rp_id, name)
    select gen_random_uuid(), 'c', id, 'k', -7, 0, '{}', 'mdm.example.org', 'laptop' from administrator where name = 'alan'`;
  const shown = (await bramble('administrator', 'show', 'alan')).output;
  assert.match(shown, /^second factor +passkey$/m);
  assert.match(shown, /^laptop +mdm\.example\.org +.+ +-$/m);
  const json = JSON.parse((await bramble('administrator', 'show', 'alan', '--json')).output);
  assert.deepEqual([json.name, json.passkeys.length, json.passkeys[0].name], ['alan', 1, 'laptop']);
  const gone = await bramble('administrator', 'reset', 'alan', '--only', 'passkeys', '--yes');
  assert.equal(gone.output, 'Every passkey of alan is gone.\n');
  const { url } = JSON.parse(
    (await bramble('administrator', 'reset', 'alan', '--only', 'password', '--yes', '--json')).output,
  );
  assert.ok(codeIn(url));
  assert.match((await bramble('administrator', 'list')).output, /^alan +enterprise +all +invited +to be set up +0$/m);
  assert.match((await bramble('administrator', 'second-factor', '--nobody')).output, /^asked of +nobody$/m);
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
