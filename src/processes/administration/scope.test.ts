/** Who is limited to groups: everything outside of them is as if it were not there, in every operation. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import type { Operation } from '../../api/operation.ts';
import { allRights, canBeLimited, type Right } from '../../api/rights.ts';
import { codeOf } from './administration-fixture.ts';
import { allOperations as operations, startScope } from './scope-fixture.ts';

const { admin, ok, seed, limited } = await startScope();
after(async () => await admin.close());

const mine = await seed('ours', 'mine');
const foreign = await seed('theirs', 'foreign');
const unknown = { ...{ group: 'nowhere', account: 'nobody' }, device: '', command: '', batch: '' };
for (const what of ['device', 'command', 'batch'] as const) unknown[what] = randomUUID();
type Seen = typeof mine;

await ok('POST', '/roles', { name: 'local', rights: allRights.filter(canBeLimited) });
const { call } = await limited('local', 'local');

const bodies: Readonly<Record<string, unknown>> = {
  'POST /devices/:id/commands': { requestType: 'ProfileList' },
  'POST /devices/:id/resend': { item: 'it-policy' },
  'PUT /accounts/:name/it-policy': { policy: null },
  'PUT /groups/:name/it-policy': { policy: null },
};

const named = operations.filter(({ scope }) => scope !== undefined && scope !== 'chosen' && scope !== 'common');

function pathOf({ path, scope }: Operation, { group, account, device, command, batch }: Seen): string {
  const name = scope === 'account' ? account : group;
  const id = scope === 'command' ? command : device;
  const parts: Readonly<Record<string, string>> = { name, account, id, batch };
  return path.replaceAll(/:(\w+)/g, (_, part: string) => parts[part] ?? '');
}

/** What is answered, without the names that were asked for. */
async function answerTo(operation: Operation, asked: Seen) {
  const { method, path } = operation;
  const { status, body } = await call(method, pathOf(operation, asked), bodies[`${method} ${path}`]);
  const { code, message } = (body ?? {}) as { code?: string; message?: string };
  const blank = Object.values(asked).reduce((text, name) => text.replaceAll(name, '*'), message ?? '');
  return { status, code, message: blank };
}

test('it is told which groups those are', async () => {
  const { body } = await call('GET', '/me');
  assert.deepEqual((body as { groups: unknown }).groups, ['ours']);
});

test('a right remains to the limited if every operation that takes it knows groups', () => {
  const known = allRights.filter((right) =>
    operations
      .filter((operation) => operation.right === right || operation.furtherRight === right)
      .every(({ scope }) => scope !== undefined),
  );
  assert.deepEqual(allRights.filter(canBeLimited), known);
});

test('what is outside is answered as what does not exist', async () => {
  assert.ok(named.length > 20, String(named.length));
  for (const operation of named) {
    const cell = `${operation.method} ${operation.path}`;
    const answer = await answerTo(operation, foreign);
    assert.deepEqual([answer.status, answer.code], [404, 'ERR_NOT_FOUND'], cell);
    assert.deepEqual(answer, await answerTo(operation, unknown), cell);
    if (operation.scope !== 'membership') continue;
    for (const [group, account] of [
      [mine.group, foreign.account],
      [foreign.group, mine.account],
    ] as const) {
      assert.equal((await answerTo(operation, { ...foreign, group, account })).status, 404, `${cell} ${group}`);
    }
  }
  const { members } = (await ok('GET', '/groups/ours/members')) as { members: string[] };
  assert.deepEqual(members, ['mine']);
});

test('lists have what is inside only, and filters find nothing outside', async () => {
  const lists = operations.filter(({ scope, method }) => scope !== undefined && method === 'GET');
  assert.ok(lists.length > 10);
  for (const operation of lists) {
    const { path } = operation;
    const asked = operation.scope === 'chosen' ? path.replace(':name', 'Default') : pathOf(operation, mine);
    const { status, body } = await call('GET', asked);
    assert.equal(status, 200, path);
    const text = JSON.stringify(body);
    for (const name of Object.values(foreign)) assert.ok(!text.includes(name), `${path} shows ${name}`);
  }
  const shown = async (path: string) => JSON.stringify((await call('GET', path)).body);
  assert.ok((await shown('/accounts')).includes(mine.account));
  assert.ok((await shown('/devices')).includes(mine.device));
  assert.ok((await shown('/deliveries')).includes(mine.device));
  assert.ok((await shown('/moves')).includes(mine.batch));
  assert.ok((await shown('/groups')).includes(mine.group));
  for (const path of [
    '/accounts?group=theirs',
    '/devices?account=foreign',
    '/devices?group=theirs',
    '/devices?account=nobody',
  ]) {
    assert.equal((await call('GET', path)).status, 404, path);
  }
});

test('accounts are made in the groups only', async () => {
  const make = async (groups?: string[]) => {
    const { status, body } = await call('POST', '/accounts', { name: 'fresh', groups });
    return [status, codeOf(body)];
  };
  assert.deepEqual(await make(), [400, 'ERR_INPUT']);
  assert.deepEqual(await make([]), [400, 'ERR_INPUT']);
  assert.deepEqual(await make(['ours', 'theirs']), [400, 'ERR_INPUT']);
  assert.deepEqual(await make(['ours']), [201, undefined]);
  const lines = [{ name: 'no-group' }, { name: 'theirs', groups: ['theirs'] }, { name: 'next', groups: ['ours'] }];
  const { token } = (await ok('POST', '/tokens', { name: 'import', role: 'local', groups: ['ours'] })) as {
    token: string;
  };
  const response = await fetch(`${admin.url}/api/v1/accounts/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
    body: lines.map((line) => JSON.stringify(line)).join('\n'),
  });
  assert.deepEqual(await response.json(), {
    created: 1,
    skipped: [
      { name: 'no-group', reason: 'no-group' },
      { name: 'theirs', reason: 'unknown-group' },
    ],
  });
});

test('moves take accounts of the groups only, and a batch with others is not there', async () => {
  const move = async (what: object) => await call('POST', '/moves', { ...what, to: 'two' });
  assert.equal((await move({ accounts: ['foreign'] })).status, 404);
  assert.equal((await move({ group: 'theirs' })).status, 404);
  const moved = await move({ from: 'one' });
  assert.ok(!JSON.stringify(moved.body).includes('foreign'));
  await admin.db`update account_move set state = 'closed', closed_at = now()`;
  const both = (await ok('POST', '/moves', { accounts: ['mine', 'foreign'], to: 'two' })) as { batch: string };
  assert.equal((await call('GET', `/moves/${both.batch}`)).status, 404);
  assert.equal((await call('POST', `/moves/${both.batch}/back`)).status, 404);
});

test('rights that know no groups are lost with the limit, whatever the role', async () => {
  const { call: security } = await limited('limited-security', 'security');
  for (const operation of operations.filter(({ right, scope }) => right.includes('.') && scope === undefined)) {
    const { method, path } = operation;
    const { status, body } = await security(method, pathOf(operation, mine), method === 'GET' ? undefined : {});
    assert.deepEqual([status, codeOf(body)], [403, 'ERR_RIGHT_MISSING'], `${method} ${path}`);
  }
  const { rights, groups } = (await security('GET', '/me')).body as { rights: Right[]; groups: string[] };
  assert.deepEqual([rights, groups], [allRights.filter(canBeLimited), ['ours']]);
});

test('what is inside can be worked with; without its groups a token sees nothing', async () => {
  const writing = named.filter(({ method }) => method !== 'GET');
  const last = ['DELETE /devices/:id', 'DELETE /groups/:name/members/:account', 'DELETE /accounts/:name'];
  const order = ({ method, path }: Operation) => last.indexOf(`${method} ${path}`);
  for (const operation of writing.toSorted((one, other) => order(one) - order(other))) {
    const { status, code } = await answerTo(operation, mine);
    const cell = `${operation.method} ${operation.path}: ${status} ${code}`;
    // The account has left the groups then.
    const gone = operation.path === '/accounts/:name';
    assert.ok(gone ? status === 404 : status < 400 || status === 409, cell);
  }
  assert.equal((await call('GET', '/accounts/fresh')).status, 200);
  await ok('DELETE', '/groups/ours');
  assert.equal((await call('GET', '/accounts/fresh')).status, 404);
  assert.deepEqual((await call('GET', '/accounts')).body, { accounts: [], next: null });
  const { tokens } = (await ok('GET', '/tokens')) as { tokens: { name: string; groups: string[] | null }[] };
  assert.deepEqual(tokens.find(({ name }) => name === 'local')?.groups, []);
});
