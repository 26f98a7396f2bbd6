/** A change that is sent again with its idempotency key is carried out once, and answered the same. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { untilOneWaits } from '../../database/waiting-fixture.ts';
import { jsonCaller } from '../../rest/json-call-fixture.ts';
import { startAdministration } from './administration-fixture.ts';
import { administrationServer } from './administration-server.ts';
import type { AdministrationContext } from './context.ts';

const admin = await startAdministration();
after(async () => await admin.close());

const keyed = (key: string) => ({ 'idempotency-key': key });
const codeOf = (answer: { body: unknown }) => (answer.body as { code?: string } | null)?.code;

/** A further service of the domain. */
async function anotherService(changes: Partial<AdministrationContext> = {}) {
  const app = await administrationServer({ context: { ...admin.context, name: 'admin-2', ...changes } });
  await app.listen({ host: '127.0.0.1', port: 0 });
  after(async () => await app.close());
  return jsonCaller({ url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, token: admin.token });
}

test('a secret that is shown once is shown again to the same request, and stands nowhere in the clear', async () => {
  const send = async () => await admin.call('POST', '/tokens', { name: 'nightly' }, keyed('"token-1"'));
  const first = await send();
  assert.equal(first.status, 201);
  assert.deepEqual(await send(), first);
  const { token } = first.body as { token: string };
  const stored = await admin.db<{ answer: Buffer }[]>`select answer from idempotency_key where key = 'token-1'`;
  assert.equal(stored.length, 1);
  assert.ok(!stored[0]?.answer.includes(token));
});

test('two services that get one request at once do it once, and both answer', async () => {
  const other = await anotherService();
  const answers = await Promise.all(
    [admin.call, other, admin.call, other].map(
      async (call) => await call('POST', '/accounts', { name: 'twice' }, keyed('at-once')),
    ),
  );
  assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [201]);
  assert.equal(new Set(answers.map((answer) => JSON.stringify(answer.body))).size, 1);
});

test('of two different requests with one key at once one is carried out, and the other refused', async () => {
  const other = await anotherService();
  const answers = await Promise.all([
    admin.call('POST', '/accounts', { name: 'this' }, keyed('contested')),
    other('POST', '/accounts', { name: 'that' }, keyed('contested')),
  ]);
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [201, 422]);
  assert.equal((await admin.db`select from account where name in ('this', 'that')`).length, 1);
});

test('a key that is claimed, and has no answer yet, is waited for', async () => {
  const [actor] = await admin.db<{ id: string }[]>`select actor as id from idempotency_key limit 1`;
  assert.ok(actor);
  const claimed = Promise.withResolvers<void>();
  const given = Promise.withResolvers<void>();
  const holder = admin.db.begin(async (tx) => {
    await tx`
      insert into idempotency_key (actor, key, step, operation, release)
      values (${actor.id}, 'claimed', 1, 'POST /accounts', 'x')`;
    claimed.resolve();
    await given.promise;
    throw new Error('given up');
  });
  await claimed.promise;
  const sent = admin.call('POST', '/accounts', { name: 'patient' }, keyed('claimed'));
  assert.ok(await untilOneWaits(admin.db));
  given.resolve();
  await assert.rejects(holder, /given up/);
  assert.equal((await sent).status, 201);
});

test('what was asked is in no column', async () => {
  const asked = JSON.stringify(['POST', '/api/v1/accounts', null, { name: 'guessed' }]);
  assert.equal((await admin.call('POST', '/accounts', { name: 'guessed' }, keyed('guessed'))).status, 201);
  const [row] = await admin.db<{ text: string }[]>`select k::text as text from idempotency_key k where key = 'guessed'`;
  assert.ok(row);
  assert.ok(!row.text.includes(createHash('sha256').update(asked).digest('hex')));
});

test('a key for another request is refused, and changes nothing', async () => {
  assert.equal((await admin.call('POST', '/groups', { name: 'crew', rank: 4 }, keyed('crew'))).status, 201);
  for (const [method, path, body] of [
    ['POST', '/groups', { name: 'crew', rank: 5 }],
    ['POST', '/groups', { name: 'other', rank: 4 }],
    ['DELETE', '/groups/crew', undefined],
  ] as const) {
    const answer = await admin.call(method, path, body, keyed('crew'));
    assert.deepEqual([answer.status, codeOf(answer)], [422, 'ERR_IDEMPOTENCY_KEY']);
  }
  assert.deepEqual(
    (await admin.db<{ name: string }[]>`select name from account_group`).map(({ name }) => name),
    ['crew'],
  );
});

test('a key is its administrator’s alone, and for a day', async () => {
  const { body } = await admin.call('POST', '/tokens', { name: 'second' });
  const second = jsonCaller({ url: admin.url, token: (body as { token: string }).token });
  const send = async (call: typeof second) => await call('POST', '/accounts', { name: 'once' }, keyed('day'));
  assert.equal((await send(admin.call)).status, 201);
  assert.equal(codeOf(await send(second)), 'ERR_NAME_TAKEN');
  await admin.db`update idempotency_key set created_at = now() - interval '25 hours' where key = 'day'`;
  assert.equal(codeOf(await send(admin.call)), 'ERR_NAME_TAKEN');
});

test('what was refused may be sent again with its key', async () => {
  const send = async () => await admin.call('POST', '/accounts', { name: 'later', groups: ['new'] }, keyed('later'));
  assert.equal((await send()).status, 400);
  await admin.call('POST', '/groups', { name: 'new' });
  assert.equal((await send()).status, 201);
});

test('the same request is told that it was done where its answer cannot be read', async () => {
  const send = async (call: typeof admin.call) => await call('POST', '/accounts', { name: 'kept' }, keyed('kept'));
  assert.equal((await send(admin.call)).status, 201);
  await admin.db`update idempotency_key set release = '1.4.9' where key = 'kept'`;
  const answer = await send(admin.call);
  assert.equal(codeOf(answer), 'ERR_CONFLICT');
  assert.match(
    (answer.body as { message: string }).message,
    /^This request was carried out before, by release 1\.4\.9/,
  );
  const another = await admin.call('POST', '/accounts', { name: 'not-kept' }, keyed('kept'));
  assert.equal(codeOf(another), 'ERR_IDEMPOTENCY_KEY');
  await admin.db`update idempotency_key set answer = null, key_id = null where key = 'kept'`;
  const unknown = await send(admin.call);
  assert.equal(codeOf(unknown), 'ERR_CONFLICT');
  assert.match((unknown.body as { message: string }).message, /^A request with this idempotency key was carried out/);
});

test('a key that is none is refused, and so is one with a stream; a question needs none', async () => {
  for (const key of ['', '""', 'with blank', 'ü', 'x'.repeat(201)]) {
    const answer = await admin.call('POST', '/accounts', { name: 'never' }, keyed(key));
    assert.deepEqual([answer.status, codeOf(answer)], [400, 'ERR_INPUT'], key);
  }
  const imported = await fetch(`${admin.url}/api/v1/accounts/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin.token}`, 'content-type': 'application/x-ndjson', ...keyed('stream') },
    body: '{"name":"never"}\n',
  });
  assert.equal(imported.status, 400);
  assert.equal((await admin.call('GET', '/accounts/never')).status, 404);
  assert.equal((await admin.call('GET', '/groups', undefined, keyed(''))).status, 200);
});
