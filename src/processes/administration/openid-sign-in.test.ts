/** Signing in at a real OpenID provider over TLS, and what the domain makes of who comes from there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readProvider } from '../../access/openid/provider-store.ts';
import { openClientSecret, sealedClientSecrets } from '../../access/openid/sealed-client-secret.ts';
import { createMasterKeys } from '../../database/sealed-value.ts';
import { codeOf } from './administration-fixture.ts';
import { alteredToken, clientSecret } from './openid-provider-fixture.ts';
import { newBrowser, rules, startOpenidDomain } from './openid-sign-in-fixture.ts';

const domain = await startOpenidDomain();
const { admin, change, person, provider, signIn } = domain;

const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];
const refused = [403, 'ERR_OPENID_REFUSED'];
const done = (returnTo = '/') => [200, { returnTo }];
const answered = ({ status, body }: { status: number; body: unknown }) => [status, body];
const administrators = async () => {
  const { body } = await admin.call('GET', '/administrators');
  return (body as { administrators: Record<string, unknown>[] }).administrators;
};

test('the sign-in page is told which providers there are, and nobody the secret', async () => {
  const ways = await newBrowser(domain).call('GET', '/sign-in');
  assert.deepEqual(answered(ways), [
    200,
    { password: true, passkey: true, openid: [{ name: 'staff', title: 'Staff' }] },
  ]);
  const { body } = await admin.call('GET', '/openid-providers/staff');
  const { hasSecret, returnPath, administrators: count } = body as Record<string, unknown>;
  assert.deepEqual([hasSecret, returnPath, count], [true, '/sign-in/openid/staff', 0]);
  assert.ok(!JSON.stringify(body).includes(clientSecret));
  const [stored] = await admin.db<{ text: string }[]>`
    select p::text || (select string_agg(r::text, ' ') from audit_record r) as text from openid_provider p`;
  assert.ok(!(stored?.text ?? clientSecret).includes(clientSecret));
});

test('the secret is sealed for its issuer, and again by a rotation of the master key', async () => {
  const { masterKeys } = admin.context;
  const next = createMasterKeys();
  const both = { current: next.current, keys: new Map([...masterKeys.keys, ...next.keys]) };
  await admin.db.begin((tx) => sealedClientSecrets.sealAgain(tx, both, null));
  const stored = await readProvider(admin.db, 'staff');
  assert.ok(stored);
  assert.equal(openClientSecret(next, stored), clientSecret);
  const elsewhere = { ...stored, issuer: 'https://other.example' };
  assert.throws(() => openClientSecret(next, elsewhere), { code: 'ERR_SEALED_VALUE' });
  await admin.db.begin((tx) => sealedClientSecrets.sealAgain(tx, { ...both, current: masterKeys.current }, null));
});

test('whom a rule fits signs in, and is an administrator with its role and groups', async () => {
  person('grace', ['staff', 'desk'], { name: 'Grace H.' });
  const browser = newBrowser(domain);
  assert.deepEqual(answered(await signIn(browser, { returnTo: '/audit?after=7' })), done('/audit?after=7'));
  const me = (await browser.call('GET', '/me')).body as Record<string, unknown>;
  assert.deepEqual(
    [me['name'], me['displayName'], me['role'], me['groups'], me['provider']],
    ['grace', 'Grace H.', 'junior-helpdesk', ['crew'], 'staff'],
  );
  assert.deepEqual(
    [...browser.cookies.keys()].map((name) => name.split('-').at(-1)),
    ['session', 'browser'],
  );
  const [session] = ((await browser.call('GET', '/sessions')).body as { sessions: { method: string }[] }).sessions;
  assert.equal(session?.method, 'openid staff');
  const [record] = await admin.db<{ actor: string; operation: string }[]>`
    select actor, operation from audit_record where kind = 'operation' order by id desc limit 1`;
  assert.deepEqual(record, { actor: 'grace', operation: 'POST /sign-in/openid/return' });
});

test('role and groups are those of each sign-in; whom no rule fits any more is out, with all that was open', async () => {
  person('edsger', ['office']);
  const before = newBrowser(domain);
  assert.equal((await signIn(before)).status, 200);
  person('edsger', ['desk']);
  const later = newBrowser(domain);
  assert.equal((await signIn(later)).status, 200);
  assert.deepEqual(refusal(await before.call('GET', '/me')), [401, 'ERR_SESSION_ENDED']);
  assert.equal(((await later.call('GET', '/me')).body as { role: string }).role, 'junior-helpdesk');
  person('edsger', ['staff']);
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
  assert.deepEqual(refusal(await later.call('GET', '/me')), [401, 'ERR_SESSION_ENDED']);
  person('nobody', []);
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
  assert.ok((await administrators()).every(({ name }) => name !== 'nobody'));
});

test('whoever is disabled here stays out, whatever the provider says', async () => {
  person('alan', ['desk']);
  assert.equal((await signIn(newBrowser(domain))).status, 200);
  assert.equal((await admin.call('POST', '/administrators/alan/disable')).status, 204);
  person('alan', ['admins']);
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
  const alan = (await administrators()).find(({ name }) => name === 'alan');
  assert.deepEqual([alan?.['state'], alan?.['role'], alan?.['sessions']], ['disabled', 'junior-helpdesk', 0]);
});

test('nobody becomes somebody who is there already by having his name', async () => {
  assert.equal((await admin.call('POST', '/administrators', { name: 'Ada', role: 'security' })).status, 201);
  person('someone', ['admins'], { preferred_username: 'ada' });
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
  person('another', ['admins'], { preferred_username: 'a\u202Eda' });
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
  person('a-third', ['admins'], { preferred_username: 'grace' });
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
});

test('the last administrator of the role security is not made less by a sign-in; he is refused', async () => {
  person('last', ['admins']);
  assert.equal((await signIn(newBrowser(domain))).status, 200);
  await admin.db`update administrator set state = 'disabled' where name <> 'last'`;
  person('last', ['desk']);
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
  const last = (await administrators()).find(({ name }) => name === 'last');
  assert.deepEqual([last?.['role'], last?.['sessions']], ['security', 0]);
  await admin.db`update administrator set state = 'active' where name <> 'alan'`;
});

test('who signs in at a provider has no other way in, and gives access only after it asked him anew', async () => {
  person('barbara', ['admins']);
  const browser = newBrowser(domain);
  assert.equal((await signIn(browser)).status, 200);
  const made = { name: 'made', role: 'user-only' };
  assert.deepEqual(refusal(await browser.call('POST', '/administrators', made)), [403, 'ERR_PROOF_NEEDED']);
  assert.equal((await signIn(browser, { fresh: true })).status, 200);
  assert.equal((await browser.call('POST', '/administrators', made)).status, 201);
  for (const [method, path, body] of [
    ['POST', '/me/passkeys/options', undefined],
    ['POST', '/me/totp', undefined],
    ['POST', '/administrators/barbara/reset', undefined],
    ['PATCH', '/administrators/barbara', { role: 'enterprise' }],
  ] as const) {
    assert.deepEqual(refusal(await browser.call(method, path, body)), [409, 'ERR_CONFLICT'], path);
  }
  const guess = { name: 'barbara', password: 'seven wet otters' };
  assert.deepEqual(refusal(await newBrowser(domain).call('POST', '/sign-in', guess)), [401, 'ERR_SIGN_IN']);
});

test('where the domain asks for a second factor, the provider has to say that it did', async () => {
  const ask = async (rule: object) => assert.equal((await admin.call('PUT', '/second-factor', rule)).status, 200);
  person('margaret', ['admins']);
  const before = newBrowser(domain);
  assert.equal((await signIn(before)).status, 200);
  await ask({ roles: ['security'] });
  assert.deepEqual(refusal(await before.call('GET', '/accounts')), [403, 'ERR_SECOND_FACTOR']);
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
  assert.deepEqual(refusal(await before.call('GET', '/me')), [401, 'ERR_SESSION_ENDED']);
  const withFactor = (claims: object) => ({ ...claims, amr: ['pwd', 'mfa'] });
  provider.alter.set('/token', (answer) => ({ ...answer, id_token: alteredToken(answer['id_token'], withFactor) }));
  const after = newBrowser(domain);
  assert.equal((await signIn(after)).status, 200);
  assert.equal((await after.call('GET', '/accounts')).status, 200);
  provider.alter.delete('/token');
  await change({ asksFactor: true });
  assert.equal((await signIn(newBrowser(domain))).status, 200);
  const { lacking } = (await admin.call('GET', '/second-factor')).body as { lacking: string[] };
  assert.ok(!lacking.includes('margaret'));
  await change({ asksFactor: false });
  await ask({});
});

test('nobody gives by a rule what he could not give himself, nor says by whose word it is given', async () => {
  await admin.call('POST', '/roles', { name: 'doorkeeper', rights: ['access.read', 'access.write', 'status.read'] });
  const created = await admin.call('POST', '/tokens', { name: 'door', role: 'doorkeeper' });
  const { token } = created.body as { token: string };
  const asDoorkeeper = async (method: string, path: string, body: object) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(`${admin.url}/api/v1${path}`, { method, headers, body: JSON.stringify(body) });
    return refusal({ status: response.status, body: await response.json() });
  };
  const { issuer } = provider;
  const missing = [403, 'ERR_RIGHT_MISSING'];
  const own = { name: 'own', issuer, clientId: 'x', rules };
  assert.deepEqual(await asDoorkeeper('POST', '/openid-providers', own), missing);
  assert.deepEqual(await asDoorkeeper('PATCH', '/openid-providers/staff', { clientId: 'mine' }), missing);
  assert.deepEqual(await asDoorkeeper('PATCH', '/openid-providers/staff', { rules: [] }), missing);
  const unknown = { rules: [{ value: 'x', role: 'no-role' }] };
  assert.deepEqual(refusal(await admin.call('PATCH', '/openid-providers/staff', unknown)), [404, 'ERR_NOT_FOUND']);
  await change({ rules: [...rules, { value: 'door', role: 'doorkeeper', groups: null }] });
  assert.deepEqual(refusal(await admin.call('DELETE', '/roles/doorkeeper')), [409, 'ERR_CONFLICT']);
});

test('whatever changes who is let in ends the sessions that began there', async () => {
  person('barbara', ['admins']);
  for (const body of [{ title: 'Our staff' }, { rules }, { enabled: false }]) {
    const browser = newBrowser(domain);
    assert.equal((await signIn(browser)).status, 200);
    await change(body);
    const { status } = await browser.call('GET', '/me');
    assert.equal(status, 'title' in body ? 200 : 401);
  }
  const ways = (await newBrowser(domain).call('GET', '/sign-in')).body as { openid: unknown[] };
  assert.deepEqual(ways.openid, []);
  assert.deepEqual(refusal(await newBrowser(domain).call('POST', '/sign-in/openid', { provider: 'staff' })), [
    404,
    'ERR_NOT_FOUND',
  ]);
  await change({ enabled: true });
});

test('a rule whose group is gone limits to nothing, and one whose role is gone lets nobody in', async () => {
  assert.equal((await admin.call('DELETE', '/groups/crew')).status, 200);
  person('grace', ['desk']);
  const browser = newBrowser(domain);
  assert.equal((await signIn(browser)).status, 200);
  assert.deepEqual(((await browser.call('GET', '/me')).body as { groups: string[] }).groups, []);
  await admin.db`update openid_provider set rules = '[{"value": "desk", "role": "gone", "groups": null}]'`;
  assert.deepEqual(refusal(await signIn(newBrowser(domain))), refused);
});

test('a provider that is removed takes its sessions along, and its administrators can be given another way in', async () => {
  await change({ rules: rules.slice(0, 1) });
  person('barbara', ['admins']);
  const browser = newBrowser(domain);
  assert.equal((await signIn(browser)).status, 200);
  assert.equal((await admin.call('DELETE', '/openid-providers/staff')).status, 204);
  assert.deepEqual(refusal(await browser.call('GET', '/me')), [401, 'ERR_SESSION_ENDED']);
  assert.equal((await admin.call('POST', '/administrators/barbara/reset')).status, 200);
});
