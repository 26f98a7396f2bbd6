/** Every list of the API: it has pages, whole in each of its orders, and refuses what is no page. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as z from 'zod';
import { createToken } from '../../access/administrator-tokens.ts';
import type { Operation } from '../../api/operation.ts';
import { resources } from '../../api/operations.ts';
import { newId } from '../../base/ids.ts';
import { seedCommand, seedDevice } from '../../devices/device-fixture.ts';
import { recordEvent } from '../../domain/events.ts';
import { codeOf, startAdministration } from './administration-fixture.ts';

const limited = { timeout: 60_000 };
const admin = await startAdministration();
after(async () => await admin.close());

/** Answers with a list in them that is no list of its own: a report, or what is made in one piece. */
const reports = [
  ...['/status', '/authorities', '/master-keys', '/upgrade', '/upgrade/report', '/upgrade/history', '/moves/:batch'],
  ...['/release-signer', '/audit/verification', '/devices/:id', '/it-policies/:name', '/me', '/push', '/retention'],
  ...['/accounts/:name', '/administrators/:name', '/roles/:name', '/figures', '/openid-providers/:name'],
  ...['/sign-in', '/second-factor'],
];

const all = Object.values(resources)
  .flatMap((operations) => Object.values<Operation>(operations))
  .filter(({ method, produces }) => method === 'GET' && produces === undefined);
const isList = (operation: Operation) => operation.query !== undefined && 'limit' in operation.query.shape;
/** The one member of its answer that has the entries. */
const membersOf = ({ answer }: Operation) =>
  Object.entries(
    (z.toJSONSchema(answer, { io: 'input', unrepresentable: 'any' }) as { properties?: object }).properties ?? {},
  )
    .filter(([, { type }]) => type === 'array')
    .map(([name]) => name);

test('whatever answers a list has pages', () => {
  const without = all
    .filter((operation) => membersOf(operation).length > 0 && !isList(operation))
    .map(({ path }) => path);
  assert.deepEqual(
    without.filter((path) => !reports.includes(path)),
    [],
  );
  for (const { path, query, answer } of all.filter(isList)) {
    assert.ok('after' in (query?.shape ?? {}), path);
    assert.ok('next' in (answer as z.ZodObject).shape, path);
  }
});

const params: Record<string, string> = {};
before(async () => {
  const { db } = admin;
  const [instance] = await db<{ id: string }[]>`select id from instance where name = 'one'`;
  const devices = [];
  for (const name of ['ada', 'bea', 'cleo']) devices.push(await seedDevice(db, (instance?.id ?? '') as never, name));
  const [device] = devices;
  assert.ok(device);
  await db`update device set account_id = ${device.accountId}`;
  for (const item of ['it-policy', 'service-books', 'synchronization'] as const)
    await seedCommand(db, device, { item });
  for (const [rank, name] of ['sales', 'field', 'board'].entries()) {
    await admin.call('POST', '/groups', { name, rank: 10 - rank });
    await admin.call('PUT', `/groups/sales/members/${['ada', 'bea', 'cleo'][rank]}`);
    await createToken(db, `token-${name}`);
    await recordEvent(db, { kind: name, message: 'one in three' });
    await db`insert into move_batch (id, purpose, state, created_by, created_at)
             values (${newId()}, 'manual', 'done', 'x', ${`2026-11-27T08:00:00.00000${rank}Z`})`;
  }
  Object.assign(params, { id: device.deviceId });
});

const nameIn: Readonly<Record<string, string>> = { accounts: 'ada', groups: 'sales' };
function pathOf({ path }: Operation): string {
  const [, resource = ''] = path.split('/');
  return path.replace(':name', nameIn[resource] ?? '').replace(':id', params['id'] ?? '');
}
const withQuery = (path: string, query: string) => (path === '/search' ? `${path}?q=a&${query}` : `${path}?${query}`);
const isAnswered = async (operation: Operation) =>
  (await admin.call('GET', withQuery(pathOf(operation), ''))).status === 200;

async function walked(operation: Operation, limit: number, order: string): Promise<string[]> {
  const [member = ''] = membersOf(operation);
  const seen: string[] = [];
  for (let next: string | null = ''; next !== null; ) {
    const query: string = `limit=${limit}${order}${next === '' ? '' : `&after=${encodeURIComponent(next)}`}`;
    const { status, body } = await admin.call('GET', withQuery(pathOf(operation), query));
    assert.equal(status, 200, `${operation.path}?${query}: ${JSON.stringify(body)}`);
    const page = body as Record<string, unknown[]> & { next: string | null };
    assert.ok((page[member] ?? []).length <= limit);
    seen.push(...(page[member] ?? []).map((entry) => JSON.stringify(entry)));
    ({ next } = page as { next: string | null });
  }
  return seen;
}

test('pages of one entry are the whole list, in each order', limited, async () => {
  let many = 0;
  for (const operation of all.filter(isList)) {
    // Without an upgrade there are no effects of one; a token has no passkeys, and there are no administrators.
    if (!(await isAnswered(operation))) {
      const missing = ['/upgrade/effects', '/me/passkeys', '/administrators/:name/passkeys'];
      assert.ok(missing.includes(operation.path), operation.path);
      continue;
    }
    const sort = operation.query?.shape['sort'];
    const orders = sort === undefined ? [''] : sortsOf(sort as z.ZodType).map((name) => `&sort=${name}`);
    for (const order of orders) {
      const whole = await walked(operation, 200, order);
      if (whole.length > 2) many++;
      assert.deepEqual(await walked(operation, whole.length > 20 ? 7 : 1, order), whole, operation.path + order);
    }
  }
  assert.ok(many > 30, `only ${many} orders had more than two entries`);
});

test('no list takes a limit, a cursor or an order that it does not have', limited, async () => {
  for (const operation of all.filter(isList)) {
    if (!(await isAnswered(operation))) continue;
    for (const query of [
      'limit=0',
      'limit=-1',
      'limit=1000000000',
      'limit=x',
      'after=%00',
      `after=${'A'.repeat(5000)}`,
      'sort=no',
    ]) {
      const { status, body } = await admin.call('GET', withQuery(pathOf(operation), query));
      assert.equal(status, 400, `${operation.path}?${query}`);
      assert.equal(codeOf(body), 'ERR_INPUT', `${operation.path}?${query}`);
    }
  }
});

test('a list of few is filtered by its members', async () => {
  const of = async (query: string) =>
    ((await admin.call('GET', `/it-policies/rules?${query}`)).body as { rules: { group: string }[] }).rules;
  const [first] = await of('limit=1');
  const found = await of(`group=${encodeURIComponent(first?.group ?? '')}`);
  assert.ok(found.length > 0 && found.length < (await of('')).length);
  assert.ok(found.every(({ group }) => group === first?.group));
  assert.deepEqual(await of('group=none'), []);
});

function sortsOf(sort: z.ZodType): readonly string[] {
  return (z.toJSONSchema(sort, { io: 'input' }) as { enum?: string[] }).enum ?? [];
}
