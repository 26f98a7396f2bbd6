/** Signing in by passkey, with an authenticator that does as it should, and otherwise. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newAuthenticator } from '../../testing/authenticator.ts';
import { type BrowserSession, openBrowser } from '../../testing/browser-session.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const origin = admin.url.replace('127.0.0.1', 'localhost');
const password = 'seven wet otters';
const ada = openBrowser(origin);
const key = newAuthenticator(origin);

const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];
const refused = [401, 'ERR_PASSKEY'];

async function challengeFor(browser: BrowserSession, path = '/sign-in/passkey/options'): Promise<string> {
  const { status, body } = await browser.call('POST', path);
  assert.equal(status, 200, JSON.stringify(body));
  return (body as { challenge: string }).challenge;
}

before(async () => {
  const { body } = await admin.call('POST', '/first-administrator');
  const { code } = body as { code: string };
  assert.equal((await ada.call('POST', '/sign-in/code', { code, name: 'ada', password })).status, 200);
});

test('a passkey is made for this page, challenge and person, or refused', async () => {
  const add = async (make: (challenge: string) => unknown) =>
    await ada.call('POST', '/me/passkeys', {
      name: 'laptop',
      credential: make(await challengeFor(ada, '/me/passkeys/options')),
    });
  const { publicKey, ...keyless } = key.make('').response;
  for (const make of [
    () => key.make('of-another-request'),
    (challenge: string) => key.make(challenge, { origin: 'https://evil.example' }),
    (challenge: string) => key.make(challenge, { rpId: 'evil.example' }),
    (challenge: string) => key.make(challenge, { type: 'webauthn.get' }),
    (challenge: string) => key.make(challenge, { crossOrigin: true }),
    (challenge: string) => key.make(challenge, { flags: 0x41 }),
    (challenge: string) => ({ ...key.make(challenge), id: 'AAAA' }),
    (challenge: string) => ({
      ...key.make(challenge),
      response: { ...key.make(challenge).response, publicKeyAlgorithm: -8 },
    }),
    (challenge: string) => ({
      ...key.make(challenge),
      response: { ...key.make(challenge).response, publicKey: 'AAAA' },
    }),
  ]) {
    assert.deepEqual(refusal(await add(make)), refused);
  }
  assert.equal((await add(() => ({ id: 'AAAA', response: keyless }))).status, 400, publicKey);
  assert.equal((await add((challenge) => key.make(challenge))).status, 201);
  const { passkeys } = (await ada.call('GET', '/me/passkeys')).body as { passkeys: { name: string; host: string }[] };
  assert.deepEqual(
    passkeys.map(({ name, host }) => [name, host]),
    [['laptop', 'localhost']],
  );
});

test('it opens a session, once for each challenge, in the browser that began', async () => {
  const browser = openBrowser(origin);
  const answer = key.sign(await challengeFor(browser));
  assert.deepEqual(refusal(await openBrowser(origin).call('POST', '/sign-in/passkey', answer)), refused);
  const step = new Map(browser.cookies);
  assert.equal((await browser.call('POST', '/sign-in/passkey', answer)).status, 200);
  assert.equal(((await browser.call('GET', '/me')).body as { name: string }).name, 'ada');
  const replay = openBrowser(origin, step);
  assert.deepEqual(refusal(await replay.call('POST', '/sign-in/passkey', answer)), refused);
});

test('what is signed otherwise is refused', async () => {
  const browser = openBrowser(origin);
  const own = newAuthenticator(origin);
  const credential = own.make(await challengeFor(ada, '/me/passkeys/options'));
  assert.equal((await ada.call('POST', '/me/passkeys', { name: 'own', credential })).status, 201);
  for (const wrong of [
    { origin: 'https://evil.example' },
    { rpId: 'evil.example' },
    { type: 'webauthn.create' },
    { flags: 0x01 },
    { crossOrigin: true },
  ]) {
    assert.deepEqual(
      refusal(await browser.call('POST', '/sign-in/passkey', own.sign(await challengeFor(browser), wrong))),
      refused,
      JSON.stringify(wrong),
    );
  }
  // Right in everything but the key that signed it, or the credential.
  for (const forge of ['signature', 'credential']) {
    const challenge = await challengeFor(browser);
    const [signed, stranger] = [own.sign(challenge), newAuthenticator(origin).sign(challenge)];
    const { signature } = stranger.response;
    const forged = { ...signed, response: { ...signed.response, signature } };
    const answer = forge === 'signature' ? forged : stranger;
    assert.deepEqual(refusal(await browser.call('POST', '/sign-in/passkey', answer)), refused, forge);
  }
  const good = own.sign(await challengeFor(browser));
  assert.equal((await browser.call('POST', '/sign-in/passkey', good)).status, 200);
});

test('other kinds of keys do as well, and it proves who is there', async () => {
  for (const algorithm of [-8, -257] as const) {
    const other = newAuthenticator(origin, algorithm);
    const credential = other.make(await challengeFor(ada, '/me/passkeys/options'));
    assert.equal((await ada.call('POST', '/me/passkeys', { name: String(algorithm), credential })).status, 201);
    const browser = openBrowser(origin);
    assert.equal((await browser.call('POST', '/sign-in/passkey', other.sign(await challengeFor(browser)))).status, 200);
  }
  await admin.db`update administrator_session set proven_at = now() - interval '16 minutes'`;
  assert.deepEqual(refusal(await ada.call('POST', '/me/passkeys/options')), [403, 'ERR_PROOF_NEEDED']);
  assert.equal((await ada.call('POST', '/session/proof/passkey', key.sign(await challengeFor(ada)))).status, 204);
  assert.equal((await ada.call('POST', '/me/passkeys/options')).status, 200);
});

test('under an address there are none, and who is disabled or has removed it is not let in', async () => {
  assert.deepEqual(refusal(await openBrowser(admin.url).call('POST', '/sign-in/passkey/options')), [409, 'ERR_STATE']);
  const tryIt = async () => {
    const browser = openBrowser(origin);
    return await browser.call('POST', '/sign-in/passkey', key.sign(await challengeFor(browser)));
  };
  await admin.db`update administrator set state = 'disabled'`;
  assert.deepEqual(refusal(await tryIt()), refused);
  await admin.db`update administrator set state = 'active'`;
  assert.equal((await tryIt()).status, 200);
  const { passkeys } = (await ada.call('GET', '/me/passkeys')).body as { passkeys: { id: string }[] };
  for (const { id } of passkeys) assert.equal((await ada.call('DELETE', `/me/passkeys/${id}`)).status, 204);
  assert.deepEqual(refusal(await tryIt()), refused);
});
