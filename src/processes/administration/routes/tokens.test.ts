/** Tokens with a role and an end, and roles of one's own: nobody gives what he does not have. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { jsonCaller } from '../../../rest/json-call-fixture.ts';
import { startCoordinatorEndpoint } from '../../coordinator/coordinator-endpoint-fixture.ts';
import { codeOf, startAdministration } from '../administration-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());

async function newToken(name: string, role: string, more: object = {}): Promise<string> {
  const { status, body } = await admin.call('POST', '/tokens', { name, role, ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return (body as { token: string }).token;
}

/** Calls with a fresh token of this role. */
async function callerOf(...token: Parameters<typeof newToken>) {
  return jsonCaller({ url: admin.url, token: await newToken(...token) });
}

test('a token does what its role may, and nothing else; the list says what it is', async () => {
  const junior = await callerOf('junior', 'junior-helpdesk');
  assert.equal((await junior('GET', '/accounts')).status, 200);
  const { status, body } = await junior('GET', '/audit');
  assert.deepEqual([status, codeOf(body)], [403, 'ERR_RIGHT_MISSING']);
  assert.deepEqual((body as { details: unknown }).details, {
    right: 'audit.read',
    roles: ['security', 'enterprise'],
  });
  const { tokens } = (await admin.call('GET', '/tokens')).body as { tokens: { name: string }[] };
  const facts = { revokedAt: null, expiresAt: null, groups: null };
  assert.deepEqual(
    tokens.map(({ createdAt, ...token }: { name: string; createdAt?: string }) => token),
    [
      { name: 'first', role: null, createdBy: null, ...facts },
      { name: 'junior', role: 'junior-helpdesk', createdBy: 'first', ...facts },
    ],
  );
});

test('who lacks the right is refused before his body is read', async () => {
  const junior = await callerOf('junior-2', 'junior-helpdesk');
  assert.equal((await junior('POST', '/accounts', { unknown: true })).status, 403);
  assert.equal((await admin.call('POST', '/accounts', { unknown: true })).status, 400);
});

test('what a body asks for may take a further right', async () => {
  const refused = async (role: string, path: string, body: object) => {
    const answer = await (await callerOf(`${role} ${path}`, role))('POST', path, body);
    return [answer.status, (answer.body as { details?: { right?: string } }).details?.right];
  };
  const commands = '/devices/00000000-0000-4000-8000-000000000000/commands';
  const profile = { requestType: 'InstallProfile', payload: 'eA==' };
  assert.deepEqual(await refused('junior-helpdesk', commands, profile), [403, 'devices.profiles']);
  assert.deepEqual((await refused('senior-helpdesk', commands, profile))[0], 404);
  for (const path of ['/upgrade/plan', '/upgrade/start']) {
    const unsigned = { toRelease: '9.9.9', acceptUnsigned: '9.9.9' };
    assert.deepEqual(await refused('enterprise', path, unsigned), [403, 'releases.trust'], path);
    assert.notEqual((await refused('security', path, unsigned))[0], 403, path);
  }
});

test('nobody gets the name of somebody else who acts, and the audit tells of what kind he is', async () => {
  await admin.db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('admin-9', 'administration', 'h', 'b', 1, '1.5.0', '{1}', '{}', now())`;
  assert.equal((await admin.call('POST', '/administrators', { name: 'ada', role: 'security' })).status, 201);
  for (const [path, name] of [
    ['/tokens', 'ADA'],
    ['/tokens', 'admin-9'],
    ['/tokens', 'coordinator'],
    ['/administrators', 'First'],
    ['/administrators', 'junior'],
    ['/administrators', 'Admin-9'],
  ] as const) {
    const refused = await admin.call('POST', path, { name, role: 'user-only' });
    assert.deepEqual([refused.status, codeOf(refused.body)], [409, 'ERR_NAME_TAKEN'], `${path} ${name}`);
  }
  const maker = await callerOf('maker', 'enterprise');
  await maker('POST', '/groups', { name: 'made' });
  const [record] = await admin.db`
    select r.detail -> 'from' as "from", t.id from audit_record r, api_token t
     where r.operation = 'POST /groups' and r.kind = 'operation' and r.actor = 'maker' and t.name = 'maker'`;
  assert.deepEqual([record?.['from'].actorKind, record?.['from'].actorId], ['token', record?.['id']]);
});

test('a token ends: at its time, which lies ahead, or when it is revoked', async () => {
  const past = new Date(Date.now() - 1000).toISOString();
  const refused = await admin.call('POST', '/tokens', { name: 'late', role: 'security', expiresAt: past });
  assert.deepEqual([refused.status, codeOf(refused.body)], [400, 'ERR_INPUT']);
  const ahead = new Date(Date.now() + 3_600_000).toISOString();
  const call = await callerOf('ends', 'security', { expiresAt: ahead });
  assert.equal((await call('GET', '/tokens')).status, 200);
  await admin.db`update api_token set expires_at = now() where name = 'ends'`;
  const ended = await call('GET', '/tokens');
  assert.deepEqual([ended.status, codeOf(ended.body)], [401, 'ERR_TOKEN_INVALID']);

  const revoked = await callerOf('revoked', 'security');
  assert.equal((await admin.call('DELETE', '/tokens/revoked')).status, 204);
  assert.equal((await revoked('GET', '/tokens')).status, 401);
  assert.equal((await admin.call('DELETE', '/tokens/revoked')).status, 404);
});

test('a token without a role has no end', async () => {
  const { status, body } = await admin.call('POST', '/tokens', { name: 'x', expiresAt: new Date().toISOString() });
  assert.deepEqual([status, codeOf(body)], [400, 'ERR_INPUT']);
});

test('a name is given once, whichever kind of token has it', async () => {
  await callerOf('taken', 'security');
  for (const role of [undefined, 'security']) {
    for (const name of ['taken', 'first']) {
      const { status, body } = await admin.call('POST', '/tokens', { name, role });
      assert.deepEqual([status, codeOf(body)], [409, 'ERR_NAME_TAKEN']);
    }
  }
});

test('tokens with roles are none of those of which one has to stay', async () => {
  await callerOf('another', 'security');
  assert.equal((await admin.call('DELETE', '/tokens/first')).status, 409);
});

test('nobody gives rights that he does not have', async () => {
  await admin.call('POST', '/roles', { name: 'giver', rights: ['access.read', 'access.write', 'accounts.read'] });
  const giver = await callerOf('giver', 'giver');
  const tries: [string, string, object][] = [
    ['POST', '/tokens', { name: 'n1' }],
    ['POST', '/tokens', { name: 'n1', role: 'security' }],
    ['POST', '/tokens', { name: 'n1', role: 'junior-helpdesk' }],
    ['POST', '/roles', { name: 'more', rights: ['accounts.read', 'audit.read'] }],
    ['PUT', '/roles/giver', { rights: ['access.write', 'devices.read'] }],
  ];
  for (const [method, path, body] of tries) {
    const answer = await giver(method, path, body);
    assert.deepEqual([answer.status, codeOf(answer.body)], [403, 'ERR_RIGHT_MISSING'], path);
  }
  assert.equal((await giver('POST', '/roles', { name: 'reader', rights: ['accounts.read'] })).status, 201);
  assert.equal((await giver('POST', '/tokens', { name: 'reader', role: 'reader' })).status, 201);
});

test('what a role may do counts from the next request on; one that is not there gives nothing', async () => {
  await admin.call('POST', '/roles', { name: 'own', rights: ['accounts.read'] });
  const call = await callerOf('own', 'own');
  const look = async () => [(await call('GET', '/accounts')).status, (await call('GET', '/groups')).status];
  assert.deepEqual(await look(), [200, 403]);
  assert.equal((await admin.call('PUT', '/roles/own', { rights: ['groups.read'] })).status, 200);
  assert.deepEqual(await look(), [403, 200]);
  await admin.db`update custom_role set rights = '{groups.read,right.of-later}' where name = 'own'`;
  assert.deepEqual(await look(), [403, 200]);
  const inUse = await admin.call('DELETE', '/roles/own');
  assert.deepEqual([inUse.status, codeOf(inUse.body)], [409, 'ERR_CONFLICT']);
  await admin.db`delete from custom_role where name = 'own'`;
  assert.deepEqual(await look(), [403, 403]);
});

test('a role that nobody has any more is removed; predefined ones stay as they are', async () => {
  await admin.call('POST', '/roles', { name: 'brief', rights: [] });
  await callerOf('brief', 'brief');
  assert.equal((await admin.call('DELETE', '/roles/brief')).status, 409);
  await admin.call('DELETE', '/tokens/brief');
  assert.equal((await admin.call('DELETE', '/roles/brief')).status, 204);
  assert.equal((await admin.call('DELETE', '/roles/brief')).status, 404);
  assert.equal((await admin.call('DELETE', '/roles/security')).status, 409);
  assert.equal((await admin.call('PUT', '/roles/security', { rights: [] })).status, 409);
  assert.equal((await admin.call('POST', '/roles', { name: 'security', rights: [] })).status, 409);
  assert.equal((await admin.call('POST', '/tokens', { name: 'n2', role: 'brief' })).status, 404);
});

test('before the schema knows roles, as at a coordinator, legacy tokens are asked for alone', async () => {
  const limited = await newToken('waiting', 'server-only');
  await admin.db`alter table api_token rename to api_token_later`;
  const endpoint = await startCoordinatorEndpoint(admin.db);
  after(endpoint.close);
  const ask = async (token: string) =>
    (await fetch(`${endpoint.url}/api/v1/upgrade`, { headers: { authorization: `Bearer ${token}` } })).status;
  try {
    assert.deepEqual([await ask(admin.token), await ask(limited)], [404, 401]);
  } finally {
    await admin.db`alter table api_token_later rename to api_token`;
  }
  assert.deepEqual([await ask(admin.token), await ask(limited), await ask('bramble_x')], [404, 404, 401]);
});
