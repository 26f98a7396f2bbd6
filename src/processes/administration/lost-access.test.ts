/** Whoever lost his access while his request was on its way, or his sign-in waited for its next step, gets no further. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Secret, TOTP } from 'otpauth';
import { advisoryLock, lockClass } from '../../database/advisory-locks.ts';
import { openDatabase } from '../../database/connection.ts';
import { untilOneWaits, watched } from '../../database/waiting-fixture.ts';
import { jsonCaller } from '../../rest/json-call-fixture.ts';
import { newAuthenticator } from '../../testing/authenticator.ts';
import { type BrowserSession, openBrowser } from '../../testing/browser-session.ts';
import { until } from '../../testing/condition.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
const other = openDatabase(admin.databaseUrl, { applicationName: 'other' });
after(async () => {
  await admin.close();
  await other.end();
});
const origin = admin.url.replace('127.0.0.1', 'localhost');
const password = 'seven wet otters';
const ada = openBrowser(origin);

const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];

before(async () => {
  const { body } = await admin.call('POST', '/first-administrator');
  const { code } = body as { code: string };
  assert.equal((await ada.call('POST', '/sign-in/code', { code, name: 'ada', password })).status, 200);
});

async function person(name: string): Promise<BrowserSession> {
  const { body } = await ada.call('POST', '/administrators', { name, role: 'security' });
  const browser = openBrowser(origin);
  const { code } = body as { code: string };
  assert.equal((await browser.call('POST', '/sign-in/code', { code, password })).status, 200);
  return browser;
}

async function addTotp(browser: BrowserSession): Promise<TOTP> {
  const { secret } = (await browser.call('POST', '/me/totp')).body as { secret: string };
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  assert.equal((await browser.call('POST', '/me/totp/confirm', { code: totp.generate() })).status, 200);
  await admin.db`update administrator set totp_counter = 0`;
  return totp;
}

/** Asks, and when the request was let in and waits to write, takes away what it was let in by. */
async function whileOnItsWay<Answer>(ask: () => Promise<Answer>, takeAway: string): Promise<Answer> {
  const [answer] = (await other.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(${lockClass}, ${advisoryLock.administration})`;
    const asked = watched(ask());
    assert.ok(await untilOneWaits(admin.db, asked.settled), 'it was answered before it could write');
    await tx.unsafe(takeAway);
    return [asked.result];
  })) as unknown as [Promise<Answer>];
  return await answer;
}

test('a token that was revoked, or may do less, while its request was on its way writes nothing', async () => {
  await admin.call('POST', '/roles', { name: 'grouper', rights: ['groups.write'] });
  for (const [name, change, refused] of [
    ['revoked', `update api_token set revoked_at = now() where name = 'revoked'`, [401, 'ERR_TOKEN_INVALID']],
    ['lessened', `update custom_role set rights = '{}' where name = 'grouper'`, [409, 'ERR_CONFLICT']],
  ] as const) {
    const { body } = await admin.call('POST', '/tokens', { name, role: 'grouper' });
    const call = jsonCaller({ url: admin.url, token: (body as { token: string }).token });
    const answer = await whileOnItsWay(async () => await call('POST', '/groups', { name }), change);
    assert.deepEqual(refusal(answer), refused);
    const left = await admin.db`select from account_group where name = ${name}`;
    assert.equal(left.length, 0);
  }
});

test('nor does an administrator without his session, by whatever he lost it', async () => {
  for (const [name, change] of [
    ['bob', `update administrator_session set ended_at = now()`],
    ['carl', `update administrator set state = 'disabled', disabled_at = now() where name = 'carl'`],
    ['dan', `delete from administrator where name = 'dan'`],
  ] as const) {
    const ended = await person(name);
    const answer = await whileOnItsWay(async () => await ended.call('POST', '/tokens', { name: 'backdoor' }), change);
    assert.deepEqual(refusal(answer), [401, 'ERR_SESSION_ENDED']);
    await ada.call('POST', '/sign-in', { name: 'ada', password });
  }
});

test('a passkey that was on its way is not there after the reset of who sent it', async () => {
  const eve = await person('eve');
  const key = newAuthenticator(origin);
  const { challenge } = (await eve.call('POST', '/me/passkeys/options')).body as { challenge: string };
  const [adding, reset] = await admin.db.begin(async (tx) => {
    await tx`select from administrator where name = 'eve' for update`;
    const begun = watched(admin.call('POST', '/administrators/eve/reset'));
    assert.ok(await untilOneWaits(other, begun.settled));
    const adding = eve.call('POST', '/me/passkeys', { name: 'x', credential: key.make(challenge) });
    await until('it waits behind the reset', 60_000, async () => {
      const waiting = await other`
        select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      return waiting.length === 2;
    });
    return [adding, begun.result];
  });
  assert.equal((await reset).status, 200);
  assert.deepEqual(refusal(await adding), [401, 'ERR_SESSION_ENDED']);
  assert.equal((await admin.db`select from administrator_passkey`).length, 0);
});

test('a change of password ends sign-ins that wait for their code', async () => {
  const fay = await person('fay');
  const totp = await addTotp(fay);
  const thief = openBrowser(origin);
  assert.deepEqual((await thief.call('POST', '/sign-in', { name: 'fay', password })).body, { next: 'totp' });
  const next = { current: password, password: 'nine dry badgers here' };
  assert.equal((await fay.call('PUT', '/me/password', next)).status, 204);
  const code = totp.generate();
  assert.deepEqual(refusal(await thief.call('POST', '/sign-in/totp', { code })), [401, 'ERR_SIGN_IN']);
});

test('it proves nothing where a second factor is asked for, and the browser that asks stays known', async () => {
  const gus = await person('gus');
  await addTotp(gus);
  await admin.db`update administrator_session set proven_at = now() - interval '1 hour'`;
  const known = async () =>
    (
      await admin.db`select from administrator_browser b join administrator a on a.id = b.administrator_id
                     where a.name = 'gus'`
    ).length;
  assert.equal(await known(), 1);
  const next = { current: password, password: 'nine dry badgers here' };
  assert.equal((await gus.call('PUT', '/me/password', next)).status, 204);
  assert.equal(await known(), 1);
  assert.deepEqual(refusal(await gus.call('DELETE', '/me/totp')), [403, 'ERR_PROOF_NEEDED']);
});
