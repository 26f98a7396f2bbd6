/** A second factor that is asked of everybody, or of some roles: what a session without one is good for. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import { lostStandings, standingOf } from '../../access/standing.ts';
import type { Operation, Operations } from '../../api/operation.ts';
import { resources } from '../../api/operations.ts';
import { newAuthenticator } from '../../testing/authenticator.ts';
import { type BrowserSession, openBrowser } from '../../testing/browser-session.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const origin = admin.url.replace('127.0.0.1', 'localhost');
const password = 'seven wet otters';
const owed = [403, 'ERR_SECOND_FACTOR'];

const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];
/** Nobody is asked, no failure counts, and no code was used. */
beforeEach(async () => {
  assert.equal((await ask({})).status, 200);
  await admin.db.unsafe('delete from sign_in_try; update administrator set totp_counter = 0');
});
const ask = async (rule: object, browser?: BrowserSession) =>
  await (browser === undefined
    ? admin.call('PUT', '/second-factor', rule)
    : browser.call('PUT', '/second-factor', rule));
const owes = async (browser: BrowserSession) => ((await browser.call('GET', '/me')).body as { owes: unknown }).owes;

async function join(name: string, role: string): Promise<BrowserSession> {
  const { body } = await admin.call('POST', '/administrators', { name, role });
  const browser = openBrowser(origin);
  const { code } = body as { code: string };
  assert.equal((await browser.call('POST', '/sign-in/code', { code, password })).status, 200);
  return browser;
}

async function signIn(name: string): Promise<BrowserSession> {
  const browser = openBrowser(origin);
  const { body } = await browser.call('POST', '/sign-in', { name, password });
  assert.deepEqual(body, { next: null });
  return browser;
}

async function addPasskey(browser: BrowserSession, key: ReturnType<typeof newAuthenticator>): Promise<string> {
  const { body } = await browser.call('POST', '/me/passkeys/options');
  const credential = key.make((body as { challenge: string }).challenge);
  const added = await browser.call('POST', '/me/passkeys', { name: 'laptop', credential });
  assert.equal(added.status, 201, JSON.stringify(added.body));
  return (added.body as { id: string }).id;
}

async function addTotp(browser: BrowserSession): Promise<TOTP> {
  const { secret } = (await browser.call('POST', '/me/totp')).body as { secret: string };
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  assert.equal((await browser.call('POST', '/me/totp/confirm', { code: totp.generate() })).status, 200);
  return totp;
}

let ada: BrowserSession;
const adasKey = newAuthenticator(origin);

before(async () => {
  const { code } = (await admin.call('POST', '/first-administrator')).body as { code: string };
  ada = openBrowser(origin);
  assert.equal((await ada.call('POST', '/sign-in/code', { code, name: 'ada', password })).status, 200);
  await addPasskey(ada, adasKey);
});

test('who asks for one has one: nobody locks himself out', async () => {
  const barbara = await join('barbara', 'security');
  assert.deepEqual(refusal(await ask({ everybody: true }, barbara)), [409, 'ERR_CONFLICT']);
  assert.equal((await ask({ roles: ['no-such-role'] }, ada)).status, 404);
  const grace = await join('grace', 'senior-helpdesk');
  const { status, body } = await ask({ roles: ['senior-helpdesk'] }, ada);
  assert.deepEqual([status, (body as { lacking: unknown }).lacking], [200, ['grace']]);
  assert.deepEqual([await owes(grace), await owes(ada)], ['enrolment', null]);
  assert.equal(await owes(await join('linus', 'junior-helpdesk')), null, 'not of his role');
  assert.equal((await ask({}, ada)).status, 200);
  assert.equal(await owes(grace), null);
});

test('a session without it is good for setting one up, and for nothing else', async () => {
  await ask({ everybody: true });
  const edsger = await join('edsger', 'enterprise');
  const open = new Set<string>();
  const operations = Object.values<Operations>(resources).flatMap((resource) => Object.values<Operation>(resource));
  for (const { method, path, right } of operations) {
    if (right === 'open' || (method === 'DELETE' && path === '/session')) continue;
    const body = method === 'GET' ? undefined : {};
    const answer = await edsger.call(method, path.replaceAll(/:\w+/g, randomUUID()), body);
    if (codeOf(answer.body) !== 'ERR_SECOND_FACTOR') open.add(`${method} ${path}`);
  }
  assert.deepEqual([...open].sort(), [
    'GET /me',
    'GET /me/passkeys',
    'POST /me/passkeys',
    'POST /me/passkeys/options',
    'POST /me/totp',
    'POST /me/totp/confirm',
    'POST /session/proof',
    'POST /session/proof/passkey',
  ]);
  await addTotp(edsger);
  assert.equal(await owes(edsger), null);
  assert.equal((await edsger.call('GET', '/accounts')).status, 200);
});

test('the password alone of who has a passkey neither acts nor sets up another factor', async () => {
  await ask({ everybody: true });
  const thief = await signIn('ada');
  assert.equal(await owes(thief), 'proof');
  for (const [method, path] of [
    ['POST', '/me/totp'],
    ['POST', '/me/passkeys/options'],
    ['PUT', '/second-factor'],
    ['GET', '/accounts'],
  ] as const) {
    assert.deepEqual(refusal(await thief.call(method, path, method === 'PUT' ? {} : undefined)), owed, path);
  }
  assert.equal((await thief.call('POST', '/session/proof', { password })).status, 204);
  assert.equal(await owes(thief), 'proof', 'the password once more is no second factor');
  const { challenge } = (await thief.call('POST', '/sign-in/passkey/options')).body as { challenge: string };
  assert.equal((await thief.call('POST', '/session/proof/passkey', adasKey.sign(challenge))).status, 204);
  assert.equal(await owes(thief), null, 'whoever has the passkey too is ada');
});

test('the last one is not given up while it is asked for', async () => {
  await ask({ everybody: true });
  const donald = await join('donald', 'enterprise');
  const passkey = await addPasskey(donald, newAuthenticator(origin));
  const remove = async () => await donald.call('DELETE', `/me/passkeys/${passkey}`);
  assert.deepEqual(refusal(await remove()), [409, 'ERR_CONFLICT']);
  await addTotp(donald);
  assert.equal((await remove()).status, 204);
  assert.deepEqual(refusal(await donald.call('DELETE', '/me/totp')), [409, 'ERR_CONFLICT']);
  await addPasskey(donald, newAuthenticator(origin));
  assert.equal((await donald.call('DELETE', '/me/totp')).status, 204);
});

test('who was let in goes on no longer once it is asked of him, what he listens to included', async () => {
  const alan = await join('alan', 'junior-helpdesk');
  const { session } = (await alan.call('GET', '/me')).body as { session: string };
  const rights = new Set(((await alan.call('GET', '/me')).body as { rights: never[] }).rights);
  const facts = { kind: 'administrator', id: '', name: 'alan', groups: null, provenAt: null, owes: null } as const;
  const standing = standingOf({ ...facts, session, rights });
  assert.deepEqual([...(await lostStandings(admin.db, [standing]))], []);
  await ask({ roles: ['junior-helpdesk'] });
  assert.deepEqual([...(await lostStandings(admin.db, [standing]))], [standing]);
  assert.deepEqual(refusal(await alan.call('GET', '/accounts')), owed);
});

test('tokens without a role are asked nothing, and let in again who has lost his', async () => {
  await ask({ everybody: true });
  assert.equal((await admin.call('GET', '/accounts')).status, 200);
  await addTotp(await join('niklaus', 'enterprise'));
  assert.equal((await admin.call('DELETE', '/administrators/niklaus/totp')).status, 204);
  assert.equal(await owes(await signIn('niklaus')), 'enrolment');

  await addTotp(await join('konrad', 'enterprise'));
  const { code } = (await admin.call('POST', '/administrators/konrad/reset-password')).body as { code: string };
  const again = openBrowser(origin);
  const chosen = await again.call('POST', '/sign-in/code', { code, password: 'nine dry weasels' });
  assert.deepEqual(chosen.body, { next: 'totp' }, 'a new password does not stand in for the authenticator');
  assert.equal((await again.call('GET', '/me')).status, 401);

  const whole = (await admin.call('POST', '/administrators/konrad/reset')).body as { code: string };
  const anew = openBrowser(origin);
  assert.equal((await anew.call('POST', '/sign-in/code', { code: whole.code, password })).status, 200);
  assert.equal(await owes(anew), 'enrolment');
});
