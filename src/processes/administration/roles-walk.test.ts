/** Cell by cell: every operation, asked for with every role over HTTP, is answered as the table says. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Operation, Operations } from '../../api/operation.ts';
import { resources } from '../../api/operations.ts';
import { isPredefinedRole, predefinedRoleNames, rightsOf } from '../../api/rights.ts';
import { masterKeyPath } from '../../component/master-key-ring.ts';
import { writeMasterKeys } from '../../database/sealed-value.ts';
import { startAdministration } from './administration-fixture.ts';

const generous = { burst: 10_000, perSecond: 10_000 };
const admin = await startAdministration({ rates: { administrator: generous, unknown: generous } });
after(async () => await admin.close());
await mkdir(join(admin.home, 'keys'));
await writeMasterKeys(masterKeyPath(admin.home), admin.context.masterKeys);

const operations = Object.values<Operations>(resources).flatMap((resource) => Object.values<Operation>(resource));

interface Refusal {
  code?: string;
  details?: { right?: string };
}

/** What changes something is sent what it refuses: nothing is carried out, and the next role finds the same domain. */
async function ask(token: string | undefined, { method, path }: Operation): Promise<{ status: number } & Refusal> {
  const response = await fetch(`${admin.url}/api/v1${path.replaceAll(/:(\w+)/g, randomUUID())}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(method === 'GET' ? {} : { 'content-type': 'application/json' }),
    },
    ...(method === 'GET' ? {} : { body: '{"walk":true}' }),
  });
  const text = await response.text();
  return { status: response.status, ...(response.ok ? {} : (JSON.parse(text) as Refusal)) };
}

const askers = [...predefinedRoleNames, 'none', 'all'] as const;

/** @param groups that he is limited to */
async function tokenOf(role: (typeof askers)[number], groups?: readonly string[]): Promise<string> {
  if (role === 'all') return admin.token;
  if (role === 'none') await admin.call('POST', '/roles', { name: role, rights: [] });
  const made = await admin.call('POST', '/tokens', {
    name: groups === undefined ? role : `limited-${role}`,
    role,
    groups,
  });
  assert.equal(made.status, 201);
  return (made.body as { token: string }).token;
}

function mayAsk(role: (typeof askers)[number], right: Operation['right']): boolean {
  if (role === 'all' || right === 'open' || right === 'signed-in') return true;
  return isPredefinedRole(role) && rightsOf(role).includes(right);
}

/** Asks for everything. @param may what is answered, one way or another */
async function walk(role: string, token: string, may: (operation: Operation) => boolean): Promise<void> {
  for (const operation of operations) {
    const { right, method, path } = operation;
    const { status, code, details } = await ask(token, operation);
    const cell = `${role}: ${method} ${path}: ${status} ${code}`;
    if (may(operation)) {
      assert.ok(status < 500 && status !== 403 && (status !== 401 || right === 'open'), cell);
      assert.ok(method === 'GET' || status >= 400, `${cell}: it was carried out`);
    } else {
      assert.deepEqual([status, code, details?.right], [403, 'ERR_RIGHT_MISSING', right], cell);
    }
  }
}

for (const role of askers) {
  test(`the role ${role} may do what its column says`, async () => {
    await walk(role, await tokenOf(role), ({ right }) => mayAsk(role, right));
  });
}

for (const role of predefinedRoleNames) {
  test(`limited to a group, ${role} keeps what knows groups`, async () => {
    await admin.call('POST', '/groups', { name: 'walked' });
    await walk(`limited ${role}`, await tokenOf(role, ['walked']), ({ right, scope }) =>
      right.includes('.') ? mayAsk(role, right) && scope !== undefined : true,
    );
  });
}

test('without a token nothing is answered but what is open to anybody', async () => {
  for (const operation of operations.filter(({ right }) => right !== 'open')) {
    const { status, code } = await ask(undefined, operation);
    assert.deepEqual([status, code], [401, 'ERR_TOKEN_MISSING'], `${operation.method} ${operation.path}`);
  }
});
