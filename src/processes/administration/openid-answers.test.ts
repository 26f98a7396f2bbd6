/** What is made of answers that nobody should send: replayed, forged, of somebody else, too late, without end. */
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { providerFetch } from '../../access/openid/provider-fetch.ts';
import { systemAddresses } from '../../base/name-lookups.ts';
import { createLoopbackCertificate } from '../../simulator/loopback-certificate.ts';
import { openBrowser } from '../../testing/browser-session.ts';
import { codeOf } from './administration-fixture.ts';
import { alteredToken, strangersKey } from './openid-provider-fixture.ts';
import { newBrowser, startOpenidDomain } from './openid-sign-in-fixture.ts';

const domain = await startOpenidDomain();
const { admin, change, person, provider, signIn, visit } = domain;
person('grace', ['admins']);

type Json = Record<string, unknown>;
const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];
const refused = [401, 'ERR_OPENID'];
const unusable = [502, 'ERR_OPENID_PROVIDER'];
const finish = (browser: ReturnType<typeof newBrowser>, url: string) =>
  browser.call('POST', '/sign-in/openid/return', { url });

/** While an answer of the provider is another. */
async function whileAltered(path: string, alter: (answer: Json) => unknown, work: () => Promise<void>): Promise<void> {
  provider.alter.set(path, alter);
  await work().finally(() => provider.alter.delete(path));
}

test('an answer counts once, in the browser that asked', async () => {
  const browser = newBrowser(domain);
  const url = await visit(browser);
  assert.deepEqual(refusal(await finish(newBrowser(domain), url)), refused);
  const answers = await Promise.all([1, 2, 3].map(() => finish(openBrowser(admin.url, new Map(browser.cookies)), url)));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 401, 401]);
  assert.deepEqual(refusal(await finish(browser, url)), refused);
});

test('an answer that somebody else made up ends nothing, and does not sign in', async () => {
  const browser = newBrowser(domain);
  const url = new URL(await visit(browser));
  for (const state of ['made-up', '']) {
    const forged = new URL(url);
    forged.searchParams.set('state', state);
    assert.deepEqual(refusal(await finish(browser, forged.href)), refused);
  }
  const twice = new URL(url);
  twice.searchParams.append('state', 'another');
  assert.deepEqual(refusal(await finish(browser, twice.href)), refused);
  assert.equal((await finish(browser, url.href)).status, 200);
});

test('a code that was given to another browser is of no use, even with the right state', async () => {
  const stolen = new URL(await visit(newBrowser(domain))).searchParams.get('code') ?? '';
  const browser = newBrowser(domain);
  const url = new URL(await visit(browser));
  url.searchParams.set('code', stolen);
  assert.deepEqual(refusal(await finish(browser, url.href)), refused);
  assert.equal(browser.cookies.size, 1);
});

test('an answer of another provider is refused: by its issuer, and by the address that it came to', async () => {
  for (const alter of [
    (url: URL) => url.searchParams.set('iss', 'https://other.example'),
    (url: URL) => url.searchParams.delete('iss'),
    (url: URL) => url.searchParams.append('iss', provider.issuer),
    (url: URL) => {
      url.pathname = '/sign-in/openid/other';
    },
    (url: URL) => {
      url.port = '1';
    },
    (url: URL) => {
      url.search = `?error=access_denied&state=${url.searchParams.get('state')}&iss=${provider.issuer}`;
    },
  ]) {
    const browser = newBrowser(domain);
    const url = new URL(await visit(browser));
    alter(url);
    const before = provider.asked.length;
    assert.deepEqual(refusal(await finish(browser, url.href)), refused, url.href);
    assert.equal(provider.asked.length, before, 'the code is given to nobody');
  }
});

test('an ID token that is forged, of somebody else, too old or for another question is refused', async () => {
  const seconds = () => Math.floor(Date.now() / 1000);
  const tokens: ((token: unknown) => string)[] = [
    (token) => alteredToken(token, (claims) => claims, strangersKey),
    (token) => alteredToken(token, (claims) => claims, null),
    (token) => `${String(token).slice(0, -8)}AAAAAAAA`,
    (token) => alteredToken(token, (claims) => ({ ...claims, iss: 'https://other.example' })),
    (token) => alteredToken(token, (claims) => ({ ...claims, aud: 'somebody-else' })),
    (token) => alteredToken(token, (claims) => ({ ...claims, nonce: 'of-another-sign-in' })),
    (token) => alteredToken(token, ({ nonce: _, ...claims }) => claims),
    (token) => alteredToken(token, ({ sub: _, ...claims }) => claims),
    (token) => alteredToken(token, (claims) => ({ ...claims, exp: seconds() - 300 })),
    (token) => alteredToken(token, (claims) => ({ ...claims, nbf: seconds() + 300 })),
    () => 'none',
  ];
  for (const altered of tokens) {
    const browser = newBrowser(domain);
    await whileAltered(
      '/token',
      (answer) => ({ ...answer, id_token: altered(answer['id_token']) }),
      async () => assert.deepEqual(refusal(await signIn(browser)), refused, String(altered)),
    );
    assert.equal(browser.cookies.size, 1, 'only the step of the sign-in');
  }
  await whileAltered(
    '/token',
    ({ id_token: _, ...answer }) => answer,
    async () => assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused),
  );
});

test('clocks may differ by less than a minute', async () => {
  const skewed = (claims: Json) => {
    const now = Math.floor(Date.now() / 1000);
    return { ...claims, exp: now - 20, nbf: now + 20 };
  };
  await whileAltered(
    '/token',
    (answer) => ({ ...answer, id_token: alteredToken(answer['id_token'], skewed) }),
    async () => assert.equal((await signIn(newBrowser(domain))).status, 200),
  );
});

test('claims of the user info count only for whom the ID token names', async () => {
  await whileAltered(
    '/me',
    (answer) => ({ ...answer, sub: 'somebody-else' }),
    async () => assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused),
  );
  await whileAltered(
    '/me',
    ({ groups: _, ...answer }) => answer,
    async () => assert.deepEqual(refusal(await signIn(newBrowser(domain))), [403, 'ERR_OPENID_REFUSED']),
  );
});

test('a provider that did not ask anew proves nothing', async () => {
  for (const authTime of [undefined, 1, Math.floor(Date.now() / 1000) - 300, 'now']) {
    await whileAltered(
      '/token',
      (answer) => ({
        ...answer,
        id_token: alteredToken(answer['id_token'], (claims) => ({ ...claims, auth_time: authTime })),
      }),
      async () => assert.deepEqual(refusal(await signIn(newBrowser(domain), { fresh: true })), refused),
    );
  }
});

test('a sign-in that takes longer than ten minutes is begun again', async () => {
  const browser = newBrowser(domain);
  const url = await visit(browser);
  await admin.db`update sign_in_challenge set expires_at = now() where kind = 'openid'`;
  assert.deepEqual(refusal(await finish(browser, url)), refused);
});

test('a session that the browser had ends, and its secret is not gone on with', async () => {
  const browser = newBrowser(domain);
  assert.equal((await signIn(browser)).status, 200);
  const planted = openBrowser(admin.url, new Map(browser.cookies));
  assert.equal((await planted.call('GET', '/me')).status, 200);
  assert.equal((await signIn(browser)).status, 200);
  assert.deepEqual(refusal(await planted.call('GET', '/me')), [401, 'ERR_SESSION_ENDED']);
  assert.equal((await browser.call('GET', '/me')).status, 200);
});

test('nobody is sent to another place than the console, nor begins from a page of somebody else', async () => {
  for (const returnTo of ['//evil.example', '/\\evil.example', 'https://evil.example', 'audit', '/a\tb', '/a b', '']) {
    const answer = await newBrowser(domain).call('POST', '/sign-in/openid', { provider: 'staff', returnTo });
    assert.deepEqual(refusal(answer), [400, 'ERR_INPUT'], returnTo);
  }
  const from = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
  const begun = await newBrowser(domain).call('POST', '/sign-in/openid', { provider: 'staff' }, from);
  assert.deepEqual(refusal(begun), [403, 'ERR_ORIGIN']);
});

test('what a provider says of itself is asked for once, and used only if it is the issuer and speaks TLS', async () => {
  const document = '/.well-known/openid-configuration';
  const times = () => provider.asked.filter((path) => path === document).length;
  const before = times();
  assert.equal((await signIn(newBrowser(domain))).status, 200);
  assert.equal(times(), before);
  const insecure = (name: string) => (said: Json) => ({
    ...said,
    [name]: String(said[name]).replace('https:', 'http:'),
  });
  for (const alter of [
    (said: Json) => ({ ...said, issuer: 'https://login.microsoftonline.com/common' }),
    insecure('authorization_endpoint'),
    insecure('token_endpoint'),
    insecure('jwks_uri'),
    (said: Json) => ({ ...said, much: 'x'.repeat(300_000) }),
    () => 'no document',
  ]) {
    await whileAltered(document, alter, async () => {
      // Its settings are changed, so it is asked anew; and again, it is not.
      await change({ title: `Staff ${times()}` });
      const asked = times();
      const begin = () => newBrowser(domain).call('POST', '/sign-in/openid', { provider: 'staff' });
      assert.deepEqual(refusal(await begin()), unusable);
      assert.deepEqual(refusal(await begin()), unusable);
      assert.equal(times(), asked + 1);
      const tested = (await admin.call('POST', '/openid-providers/staff/test')).body as { usable: boolean };
      assert.equal(tested.usable, false);
    });
  }
  await change({ title: 'Staff' });
  assert.equal((await signIn(newBrowser(domain))).status, 200);
});

test('no provider is asked at an address that is not one of TLS, or has more in it than an issuer has', async () => {
  for (const issuer of [
    'http://id.example.org',
    'http://localhost:8080',
    'https://user:word@id.example.org',
    'https://id.example.org/?tenant=x',
    'https://id.example.org/#x',
    'https://id.example.org/.well-known/openid-configuration',
    'file:///etc/passwd',
    'id.example.org',
  ]) {
    const body = { name: 'bad', issuer, clientId: 'x' };
    assert.deepEqual(refusal(await admin.call('POST', '/openid-providers', body)), [400, 'ERR_INPUT'], issuer);
  }
});

test('an answer has its time and its size, a redirect leads nowhere, and a stranger’s certificate is not believed', async () => {
  const { keyPem, certificatePem, caPem } = await createLoopbackCertificate('slow');
  const asked: string[] = [];
  const server = createServer({ key: keyPem, cert: certificatePem }, ({ url = '' }, response) => {
    asked.push(url);
    if (url === '/moved') response.writeHead(302, { location: '/elsewhere' }).end();
    if (url === '/large') response.end('x'.repeat(1_000_000));
    if (url === '/drips') response.write('{');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;
  const fetchIt = (path: string, options: { caPem?: null; timeoutMs?: number } = {}) =>
    providerFetch({ caPem, find: systemAddresses, ...options })(`${url}${path}`, { method: 'GET', headers: {} });
  const code = { code: 'ERR_OPENID_PROVIDER' };
  assert.equal((await fetchIt('/moved')).status, 302);
  await assert.rejects(fetchIt('/large'), code);
  await assert.rejects(fetchIt('/drips', { timeoutMs: 200 }), code);
  await assert.rejects(fetchIt('/silent', { timeoutMs: 200 }), code);
  await assert.rejects(fetchIt('/untrusted', { caPem: null }), code);
  const plain = providerFetch({ caPem, find: systemAddresses });
  await assert.rejects(plain(url.replace('https:', 'http:'), { method: 'GET', headers: {} }), code);
  assert.ok(!asked.includes('/elsewhere') && !asked.includes('/untrusted'), asked.join(' '));
});
