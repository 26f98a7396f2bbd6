/** Who may make and end access, and little else, takes nothing from those who may do more. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { jsonCaller } from '../../rest/json-call-fixture.ts';
import { type BrowserSession, openBrowser } from '../../testing/browser-session.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());
const password = 'seven wet otters';
const [ada, clerk] = [openBrowser(admin.url), openBrowser(admin.url)];
const above = [403, 'ERR_RIGHT_MISSING'];
const unproven = [403, 'ERR_PROOF_NEEDED'];

const refusal = ({ status, body }: { status: number; body: unknown }) => [status, codeOf(body)];

before(async () => {
  const { body } = await admin.call('POST', '/first-administrator');
  const begun = { code: (body as { code: string }).code, name: 'ada', password };
  assert.equal((await ada.call('POST', '/sign-in/code', begun)).status, 200);
  await admin.call('POST', '/roles', { name: 'clerk', rights: ['access.write'] });
  await admin.call('POST', '/roles', { name: 'boss', rights: ['access.write', 'access.read', 'audit.write'] });
  await admin.call('POST', '/roles', { name: 'unused', rights: ['keys.write'] });
  const added = await ada.call('POST', '/administrators', { name: 'clerk', role: 'clerk' });
  const { code } = added.body as { code: string };
  assert.equal((await clerk.call('POST', '/sign-in/code', { code, password })).status, 200);
  for (const [name, role] of [['keeper', 'boss'], ['helper', 'clerk'], ['orphan', 'clerk'], ['everything']]) {
    await admin.call('POST', '/tokens', { name, ...(role === undefined ? {} : { role }) });
  }
  await admin.db`update api_token set role = 'gone' where name = 'orphan'`;
  const rules = [{ value: 'admins', role: 'security', groups: null }];
  const provider = { name: 'idp', issuer: 'https://idp.example', clientId: 'x', claim: 'groups', rules };
  assert.equal((await admin.call('POST', '/openid-providers', provider)).status, 201);
});

const sessionOf = async (browser: BrowserSession) =>
  ((await browser.call('GET', '/me')).body as { session: string }).session;

test('what may do more is neither changed nor ended nor removed', async () => {
  for (const [method, path, body] of [
    ['PUT', '/roles/boss', { rights: [] }],
    ['DELETE', '/roles/unused'],
    ['DELETE', '/tokens/keeper'],
    ['DELETE', '/tokens/everything'],
    ['DELETE', `/sessions/${await sessionOf(ada)}`],
    ['DELETE', '/openid-providers/idp'],
    ['POST', '/administrators/ada/disable'],
  ] as const) {
    assert.deepEqual(refusal(await clerk.call(method, path, body)), above, `${method} ${path}`);
  }
  assert.equal((await ada.call('GET', '/me')).status, 200);
});

test('what may do as much, or nothing any more, is', async () => {
  for (const path of ['/tokens/helper', '/tokens/orphan', '/roles/unused']) {
    const asking = path === '/roles/unused' ? admin : clerk;
    assert.equal((await asking.call('DELETE', path)).status, 204, path);
  }
  assert.equal((await admin.call('DELETE', '/tokens/everything')).status, 204);
});

test('a session that proved nothing of late gives and takes no access, and nothing of the domain; a token goes on', async () => {
  const others = await sessionOf(clerk);
  await admin.db`update administrator_session set proven_at = now() - interval '16 minutes'`;
  for (const [method, path, body] of [
    ['DELETE', `/sessions/${others}`],
    ['DELETE', '/tokens/keeper'],
    ['PUT', '/roles/boss', { rights: [] }],
    ['POST', '/hosts', { name: 'b' }],
    ['POST', '/authorities/device/roll'],
    ['POST', '/master-keys'],
    ['PUT', '/release-signer', { fingerprint: 'x' }],
    ['POST', '/audit/cuts', {}],
    ['PUT', '/retention', {}],
    ['POST', '/upgrade/start', {}],
    ['POST', '/upgrade/plan', { toRelease: '9.9.9', acceptUnsigned: '9.9.9' }],
  ] as const) {
    assert.deepEqual(refusal(await ada.call(method, path, body)), unproven, `${method} ${path}`);
  }
  const { body } = await admin.call('POST', '/tokens', { name: 'security', role: 'security' });
  const call = jsonCaller({ url: admin.url, token: (body as { token: string }).token });
  assert.equal((await call('DELETE', '/tokens/keeper')).status, 204);
  const own = await sessionOf(ada);
  assert.equal((await ada.call('DELETE', `/sessions/${own}`)).status, 204, 'one’s own needs none');
});
