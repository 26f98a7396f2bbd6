/** Signing in with an authenticator, as a browser and its user do it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import { type BrowserSession, openBrowser } from '../../testing/browser-session.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const password = 'seven wet otters';
let totp: TOTP;
let recoveryCodes: string[] = [];

const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];
/** Of the present step, or of one after it. */
const codeNow = (steps = 0) => totp.generate({ timestamp: Date.now() + steps * 30_000 });
/** As if a day had passed: no step was used, and no failure counts. */
const forget = async () =>
  await admin.db.unsafe(
    'update administrator set totp_counter = 0; delete from sign_in_try; delete from sign_in_challenge',
  );

async function withPassword(browser = openBrowser(admin.url)): Promise<BrowserSession> {
  const { body } = await browser.call('POST', '/sign-in', { name: 'ada', password });
  assert.deepEqual(body, { next: 'totp' });
  return browser;
}

before(async () => {
  const { body } = await admin.call('POST', '/first-administrator');
  const browser = openBrowser(admin.url);
  const { code } = body as { code: string };
  assert.equal((await browser.call('POST', '/sign-in/code', { code, name: 'ada', password })).status, 200);
  const begun = (await browser.call('POST', '/me/totp')).body as { secret: string; uri: string };
  assert.match(begun.uri, /^otpauth:\/\/totp\/Bramble%20Example:ada\?issuer=Bramble%20Example&secret=[A-Z2-7]{32}&/);
  totp = new TOTP({ secret: Secret.fromBase32(begun.secret) });

  const elsewhere = openBrowser(admin.url);
  const early = await elsewhere.call('POST', '/sign-in', { name: 'ada', password });
  assert.deepEqual(early.body, { next: null }, 'it is not asked for before a code has proved it');
  const wrong = await browser.call('POST', '/me/totp/confirm', { code: 'abcdef' });
  assert.deepEqual(refusal(wrong), [401, 'ERR_SIGN_IN']);
  const proved = await browser.call('POST', '/me/totp/confirm', { code: codeNow() });
  assert.equal(proved.status, 200);
  ({ recoveryCodes } = proved.body as { recoveryCodes: string[] });
  assert.equal((await elsewhere.call('GET', '/me')).status, 401, 'sessions without it end');
  assert.equal((await browser.call('GET', '/me')).status, 200);
});

test('a code opens the session once, in the browser that sent the password', async () => {
  await forget();
  const browser = await withPassword();
  assert.deepEqual(refusal(await browser.call('GET', '/me')), [401, 'ERR_TOKEN_MISSING']);
  const code = codeNow();
  assert.deepEqual(refusal(await openBrowser(admin.url).call('POST', '/sign-in/totp', { code })), [401, 'ERR_SIGN_IN']);
  assert.equal((await browser.call('POST', '/sign-in/totp', { code })).status, 200);
  assert.equal((await browser.call('GET', '/me')).status, 200);
  const { sessions } = (await browser.call('GET', '/sessions')).body as { sessions: { method: string }[] };
  assert.equal(sessions[0]?.method, 'password and totp');

  const again = await withPassword();
  assert.deepEqual(refusal(await again.call('POST', '/sign-in/totp', { code })), [401, 'ERR_SIGN_IN'], 'replayed');
  assert.equal((await again.call('POST', '/sign-in/totp', { code: codeNow(1) })).status, 200);
  const earlier = await withPassword();
  assert.equal((await earlier.call('POST', '/sign-in/totp', { code: codeNow() })).status, 401, 'of a step before');
});

test('the same code at once in two browsers opens one session', async () => {
  await forget();
  const browsers = [await withPassword(), await withPassword()];
  const code = codeNow();
  const answers = await Promise.all(browsers.map((browser) => browser.call('POST', '/sign-in/totp', { code })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401]);
});

test('a recovery code stands in once, however it is typed', async () => {
  await forget();
  assert.equal(new Set(recoveryCodes).size, 10);
  const [code = ''] = recoveryCodes;
  const typed = { code: ` ${code.toUpperCase().replaceAll('-', ' ')}` };
  assert.equal((await (await withPassword()).call('POST', '/sign-in/totp', typed)).status, 200);
  assert.equal((await (await withPassword()).call('POST', '/sign-in/totp', typed)).status, 401);
});

test('who has the password cannot guess codes without end, and cannot keep the owner out', async () => {
  await forget();
  const owner = await withPassword();
  assert.equal((await owner.call('POST', '/sign-in/totp', { code: codeNow() })).status, 200);
  await owner.call('DELETE', '/session');
  const said: string[] = [];
  for (let round = 0; round < 4; round++) {
    const guesser = openBrowser(admin.url);
    if ((await guesser.call('POST', '/sign-in', { name: 'ada', password })).status !== 200) break;
    for (let n = 0; n < 4; n++) {
      const { body } = await guesser.call('POST', '/sign-in/totp', { code: 'abcdef' });
      said.push((body as { message: string }).message);
    }
  }
  const began = (text: string) => said.filter((message) => message.startsWith(text)).length;
  assert.deepEqual(
    said.slice(0, 4).map((message) => message.startsWith('The code is wrong')),
    [true, true, true, false],
  );
  assert.deepEqual([began('The code is wrong'), began('There were too many failed') > 0], [5, true], 'five in all');
  assert.equal((await (await withPassword(owner)).call('POST', '/sign-in/totp', { code: codeNow(1) })).status, 200);
});

test('a proof asks for both, and access is given with it only', async () => {
  await forget();
  const browser = await withPassword();
  await browser.call('POST', '/sign-in/totp', { code: codeNow() });
  await admin.db`update administrator_session set proven_at = now() - interval '16 minutes'`;
  assert.deepEqual(refusal(await browser.call('DELETE', '/me/totp')), [403, 'ERR_PROOF_NEEDED']);
  assert.equal((await browser.call('POST', '/session/proof', { password })).status, 401);
  assert.equal((await browser.call('POST', '/session/proof', { password, code: codeNow(1) })).status, 204);
  const renewed = (await browser.call('POST', '/me/recovery-codes')).body as { recoveryCodes: string[] };
  assert.equal(new Set([...renewed.recoveryCodes, ...recoveryCodes]).size, 20);
  const former = await (await withPassword()).call('POST', '/sign-in/totp', { code: recoveryCodes[1] ?? '' });
  assert.equal(former.status, 401);
  assert.equal((await browser.call('DELETE', '/me/totp')).status, 204);
  const { body } = await openBrowser(admin.url).call('POST', '/sign-in', { name: 'ada', password });
  assert.deepEqual(body, { next: null });
});

test('the secret is sealed, and stands nowhere in clear', async () => {
  const [row] = await admin.db<{ text: string }[]>`
    select coalesce((select string_agg(r::text, ' ') from audit_record r), '')
        || coalesce((select string_agg(e::text, ' ') from event e), '') as text`;
  assert.ok(!row?.text.includes(totp.secret.base32) && !row?.text.includes(totp.secret.hex));
  for (const code of recoveryCodes) assert.ok(!row?.text.includes(code));
});
