/** Signing in at a coordinator, while no administration service is at work: what is opened, refused and recorded there. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { after, before, test } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import { masterKeyPath } from '../../component/master-key-ring.ts';
import { writeMasterKeys } from '../../database/sealed-value.ts';
import { newAuthenticator } from '../../testing/authenticator.ts';
import { openBrowser } from '../../testing/browser-session.ts';
import { codeOf, startAdministration } from '../administration/administration-fixture.ts';
import { startCoordinatorEndpoint, startTestUpgrade } from './coordinator-endpoint-fixture.ts';

const admin = await startAdministration();
const coordinator = await startCoordinatorEndpoint(admin.db);
after(async () => {
  await coordinator.close();
  await admin.close();
});
const password = 'seven wet otters';
const [here, there] = [admin.url, coordinator.url].map((url) => url.replace('127.0.0.1', 'localhost')) as [
  string,
  string,
];
const ada = openBrowser(here);
const key = newAuthenticator(here);

const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];
const signIn = { name: 'ada', password };

before(async () => {
  const { code } = (await admin.call('POST', '/first-administrator')).body as { code: string };
  assert.equal((await ada.call('POST', '/sign-in/code', { code, ...signIn })).status, 200);
  const { challenge } = (await ada.call('POST', '/me/passkeys/options')).body as { challenge: string };
  const made = await ada.call('POST', '/me/passkeys', { name: 'laptop', credential: key.make(challenge) });
  assert.equal(made.status, 201);
  const invited = await ada.call('POST', '/administrators', { name: 'ben', role: 'junior-helpdesk' });
  const { code: his } = invited.body as { code: string };
  assert.equal((await openBrowser(here).call('POST', '/sign-in/code', { code: his, password })).status, 200);
  const [major, minor] = admin.context.release.split('.').map(Number);
  await startTestUpgrade(admin.db, `${major}.${Number(minor) + 1}.0`);
  await admin.db`update upgrade set state = 'moving'`;
});

test('a password opens a session there, which holds at the administration service too, and steers the upgrade', async () => {
  const browser = openBrowser(there);
  assert.deepEqual((await browser.call('POST', '/sign-in', signIn)).body, { next: null });
  const { name, service } = (await browser.call('GET', '/me')).body as Record<string, unknown>;
  assert.deepEqual([name, service], ['ada', 'coordinator']);
  assert.equal((await openBrowser(here, browser.cookies).call('GET', '/me')).status, 200);
  assert.equal((await openBrowser(there, ada.cookies).call('GET', '/me')).status, 200, 'and the other way round');
  const paused = await browser.call('POST', '/upgrade/pause', { reason: 'a look' });
  assert.equal(paused.status, 200, JSON.stringify(paused.body));
  const { sessions } = (await browser.call('GET', '/sessions')).body as { sessions: { current: boolean }[] };
  assert.equal(sessions.filter(({ current }) => current).length, 1);
  assert.equal((await browser.call('DELETE', '/session')).status, 204);
  assert.deepEqual(refusal(await browser.call('GET', '/me')), [401, 'ERR_TOKEN_MISSING']);
});

test('who lacks the right is refused, and what comes from another page is not looked at', async () => {
  const ben = openBrowser(there);
  assert.equal((await ben.call('POST', '/sign-in', { name: 'ben', password })).status, 200);
  assert.deepEqual(refusal(await ben.call('POST', '/upgrade/resume')), [403, 'ERR_RIGHT_MISSING']);
  for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) {
    assert.deepEqual(refusal(await openBrowser(there).call('POST', '/sign-in', signIn, headers)), [403, 'ERR_ORIGIN']);
    assert.deepEqual(refusal(await ben.call('POST', '/upgrade/resume', undefined, headers)), [403, 'ERR_ORIGIN']);
  }
});

test('a passkey opens one, once for each challenge', async () => {
  const browser = openBrowser(there);
  const { challenge } = (await browser.call('POST', '/sign-in/passkey/options')).body as { challenge: string };
  const elsewhere = await browser.call(
    'POST',
    '/sign-in/passkey',
    key.sign(challenge, { origin: 'https://evil.example' }),
  );
  assert.deepEqual(refusal(elsewhere), [401, 'ERR_PASSKEY']);
  const next = (await browser.call('POST', '/sign-in/passkey/options')).body as { challenge: string };
  const answer = key.sign(next.challenge, { origin: there });
  const step = new Map(browser.cookies);
  assert.equal((await browser.call('POST', '/sign-in/passkey', answer)).status, 200);
  assert.equal((await browser.call('GET', '/me')).status, 200);
  const replayed = await openBrowser(there, step).call('POST', '/sign-in/passkey', answer);
  assert.deepEqual(refusal(replayed), [401, 'ERR_PASSKEY']);
});

test('no OpenID provider is offered or asked there', async () => {
  const staff = { name: 'staff', title: 'Staff', issuer: 'https://id.example.org', clientId: 'bramble' };
  assert.equal((await admin.call('POST', '/openid-providers', staff)).status, 201);
  const ways = async (at: string) => (await openBrowser(at).call('GET', '/sign-in')).body;
  assert.deepEqual(await ways(here), { password: true, passkey: true, openid: [{ name: 'staff', title: 'Staff' }] });
  assert.deepEqual(await ways(there), { password: true, passkey: true, openid: [] });
  const begun = await openBrowser(there).call('POST', '/sign-in/openid', { provider: 'staff' });
  assert.deepEqual(refusal(begun), [409, 'ERR_RELEASE_FENCED']);
});

test('guesses count for both services, and a browser that has signed in before is not locked out', async () => {
  const known = openBrowser(there);
  assert.equal((await known.call('POST', '/sign-in', signIn)).status, 200);
  await known.call('DELETE', '/session');
  const guess = { ...signIn, password: 'wrong wrong wrong' };
  const statuses = [];
  for (let n = 0; n < 6; n++) statuses.push((await openBrowser(there).call('POST', '/sign-in', guess)).status);
  assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429]);
  const limited = await openBrowser(there).call('POST', '/sign-in', signIn);
  assert.deepEqual(refusal(limited), [429, 'ERR_SIGN_IN_LIMITED']);
  assert.ok(Number(limited.headers.get('retry-after')) >= 1);
  assert.deepEqual(refusal(await openBrowser(here).call('POST', '/sign-in', signIn)), [429, 'ERR_SIGN_IN_LIMITED']);
  assert.equal((await known.call('POST', '/sign-in', signIn)).status, 200);
  await admin.db`delete from sign_in_try`;
});

test('an authenticator’s code is asked for there too, and opened with the keys of the coordinator’s host', async () => {
  const begun = (await ada.call('POST', '/me/totp')).body as { secret: string };
  const totp = new TOTP({ secret: Secret.fromBase32(begun.secret) });
  assert.equal((await ada.call('POST', '/me/totp/confirm', { code: totp.generate() })).status, 200);
  const file = masterKeyPath(coordinator.home);
  await mkdir(dirname(file), { recursive: true });
  await writeMasterKeys(file, admin.context.masterKeys);
  const browser = openBrowser(there);
  assert.deepEqual((await browser.call('POST', '/sign-in', signIn)).body, { next: 'totp' });
  const code = totp.generate({ timestamp: Date.now() + 30_000 });
  assert.equal((await browser.call('POST', '/sign-in/totp', { code })).status, 200);
  assert.equal((await browser.call('GET', '/me')).status, 200);
});

test('what was done there stands in the audit with who did it', async () => {
  const rows = await admin.db<{ actor: string; operation: string }[]>`
    select distinct actor, operation from audit_record where detail->'from'->>'component' = 'upgrade-coordinator'`;
  const recorded = rows.map(({ actor, operation }) => `${actor}: ${operation}`);
  for (const one of ['ada: POST /sign-in', 'ada: POST /upgrade/pause', 'ada: DELETE /session'])
    assert.ok(recorded.includes(one), `${one} is not among ${recorded.join(', ')}`);
  assert.ok(recorded.includes('upgrade-coordinator: sign-in refused'));
});

test('before the schema knows administrators, a token is asked for', async () => {
  // The expansion makes them one after the other.
  const tables = ['administrator_identity', 'administrator'];
  for (const table of tables) await admin.db.unsafe(`alter table ${table} rename to ${table}_later`);
  try {
    const refused = await openBrowser(there).call('POST', '/sign-in', signIn);
    assert.deepEqual(refusal(refused), [409, 'ERR_STATE']);
    assert.deepEqual(refusal(await openBrowser(there, ada.cookies).call('GET', '/me')), [401, 'ERR_TOKEN_MISSING']);
  } finally {
    for (const table of tables) await admin.db.unsafe(`alter table ${table}_later rename to ${table}`);
  }
  assert.equal((await openBrowser(there, ada.cookies).call('GET', '/me')).status, 200);
});
