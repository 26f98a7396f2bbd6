/** What who is limited to groups is answered does not depend on anything outside of them, and has what is inside. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { allRights, canBeLimited } from '../../api/rights.ts';
import { recordEvent } from '../../domain/events.ts';
import { isReady, openStream } from '../../rest/stream-fixture.ts';
import { allOperations, startScope } from './scope-fixture.ts';

const patient = { timeout: 90_000 };
const { admin, ok, seed, limited } = await startScope();
after(async () => await admin.close());
const { db } = admin;

const mine = await seed('ours', 'mine');
const foreign = await seed('theirs', 'foreign');
await ok('POST', '/roles', { name: 'local', rights: allRights.filter(canBeLimited) });
const { call, token } = await limited('local', 'local');

interface Event {
  kind: string;
  message: string;
}

const get = async (path: string): Promise<unknown> => {
  const { status, body } = await call('GET', path);
  assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`);
  return body;
};
const eventsOf = async (query = '') => (await get(`/events${query}`)) as { events: Event[]; next: string | null };
const messagesOf = async (query = '') => (await eventsOf(query)).events.map(({ message }) => message);
let number = 0;
const record = async (kind: string, subject: string, detail: object = {}): Promise<string> => {
  const message = `${kind} ${++number}`;
  await recordEvent(db, { kind, subject, message, detail: detail as Record<string, unknown> });
  return message;
};

/** Everything that he may read: named things are his own. */
const questions = [
  ...allOperations
    .filter(({ method, scope, produces }) => method === 'GET' && scope !== undefined && produces === undefined)
    .map(({ path, scope }) =>
      path
        .replace(':name', scope === 'group' ? mine.group : scope === 'account' ? mine.account : 'Default')
        .replace(':id', mine.device)
        .replace(':batch', mine.batch),
    ),
  ...[
    '/search?q=m',
    '/search?q=f',
    '/search?q=for',
    '/events?kind=device-removed',
    '/events?limit=1',
    '/audit?limit=1',
  ],
  ...[
    `/events?account=${mine.account}`,
    `/events?device=${mine.device}`,
    '/events?instance=one',
    '/events?subject=foreign',
  ],
  ...['/audit?subject=foreign', '/audit?actor=first', '/accounts?instance=one', '/devices?instance=one', '/figures'],
];

/** As the same request would be answered again. */
async function answers(): Promise<Map<string, unknown>> {
  const all = await Promise.all(questions.map(async (path) => [path, await call('GET', path)] as const));
  return new Map(
    all.map(([path, { status, body }]) => [path, { status, body: { ...(body as object), instance: undefined } }]),
  );
}

test('whatever others do, he is answered the same', patient, async () => {
  const before = await answers();
  assert.ok(before.size > 20, String(before.size));
  const other = await seed('more', 'further');
  for (const seen of [foreign, other]) {
    await ok('POST', `/devices/${seen.device}/resend`, { item: 'it-policy' });
    await ok('POST', `/devices/${seen.device}/commands`, { requestType: 'ProfileList' });
    await ok('PUT', `/accounts/${seen.account}/it-policy`, { policy: 'Default' });
    await ok('POST', `/moves/${seen.batch}/back`);
    await record('device-clock-differs', seen.device);
    await record('delivery-part-skipped', seen.account);
  }
  await record('component-registered', 'one');
  await record('device-suspended', foreign.device, { suspended: foreign.device, by: mine.device });
  await record('device-suspended', mine.device, { suspended: mine.device, by: foreign.device });
  await record('device-contested', mine.device, { device: mine.device, rival: randomUUID() });
  await db`update device set state = 'authenticated' where id = ${other.device}`;
  await db`update command set state = 'sent', unanswered = 20, sent_at = now() where device_id = ${other.device}`;
  await db`update device set identity_expires_at = now() where id = ${foreign.device}`;
  await ok('DELETE', `/devices/${foreign.device}`);
  await ok('DELETE', `/accounts/${other.account}`);
  assert.deepEqual(await answers(), before);
});

test('the status counts what is inside, and says what it is of', patient, async () => {
  const status = (await get('/status')) as Record<string, unknown> & { instances: Record<string, unknown>[] };
  assert.deepEqual(status['groups'], ['ours']);
  assert.deepEqual(
    status.instances.map(({ name, accountCount, deviceCount }) => [name, accountCount, deviceCount]),
    [['one', 1, 1]],
  );
  assert.deepEqual(status['deviceStates'], [{ state: 'active', count: 1 }]);
  assert.deepEqual(
    (status['openMoves'] as { batch: string }[]).map(({ batch }) => batch),
    [mine.batch],
  );
  for (const empty of ['components', 'supervisors', 'certificates', 'failingNotices', 'scheduledBackups']) {
    assert.deepEqual(status[empty], [], empty);
  }
  const whole = (await ok('GET', '/status')) as { groups: unknown; instances: { accountCount: number }[] };
  assert.equal(whole.groups, null);
  assert.equal(whole.instances[0]?.accountCount, 2);
});

test(
  'of events he sees those that speak of his accounts alone, each of those that they speak of',
  patient,
  async () => {
    const seen = [
      await record('delivery-part-skipped', mine.account),
      await record('command-given-up', mine.device),
      await record('device-contested', mine.device, { device: mine.device, rival: null }),
      await record('device-suspended', mine.device, { suspended: mine.device, by: mine.device }),
    ];
    for (const [kind, subject] of [
      ['delivery-part-skipped', foreign.account],
      ['command-given-up', foreign.device],
      // A token, a group or a router may have the name of an account, and a batch of moves speaks of others.
      ['token-created', mine.account],
      ['router-removed', mine.device],
      ['move-started', mine.batch],
      ['device-ended', 'no id'],
    ] as const) {
      await record(kind, subject);
    }
    assert.deepEqual(await messagesOf(), seen.toReversed());
    assert.deepEqual(await messagesOf(`?account=${mine.account}&kind=command-given-up`), [seen[1]]);
    assert.equal((await call('GET', `/events?account=${foreign.account}`)).status, 404);
    assert.deepEqual(
      (await call('GET', `/events?device=${foreign.device}`)).status,
      (await call('GET', `/events?device=${randomUUID()}`)).status,
    );
    const pages: string[] = [];
    for (let next: string | null = ''; next !== null; ) {
      const page = await eventsOf(`?limit=1${next === '' ? '' : `&after=${next}`}`);
      pages.push(...page.events.map(({ message }) => message));
      next = page.next;
    }
    assert.deepEqual(pages, seen.toReversed());
  },
);

test(
  'who has the name of an account that was deleted does not inherit what happened to that one',
  patient,
  async () => {
    await ok('POST', '/accounts', { name: 'again', groups: ['theirs'] });
    await record('delivery-part-skipped', 'again');
    await ok('PUT', '/accounts/again/it-policy', { policy: 'Default' });
    await ok('DELETE', '/accounts/again');
    await ok('POST', '/accounts', { name: 'again', groups: ['ours'] });
    assert.deepEqual(await messagesOf('?account=again'), []);
    assert.deepEqual(((await get('/audit?subject=again')) as { entries: unknown[] }).entries, []);
  },
);

test('a page ends after so many that he may not see, and the next one goes on behind them', patient, async () => {
  const first = await record('delivery-part-skipped', mine.account);
  await db`
    insert into event (kind, subject, message)
    select 'device-clock-differs', ${foreign.device}, 'x' from generate_series(1, 5000)`;
  const page = await eventsOf();
  assert.deepEqual([page.events, page.next === null], [[], false]);
  assert.equal((await messagesOf(`?after=${page.next}`))[0], first);
  assert.equal((await messagesOf(`?account=${mine.account}`))[0], first);
});

test('of the audit he sees what was asked of what is inside', patient, async () => {
  await ok('PUT', '/groups/ours/it-policy', { policy: 'Default' });
  await ok('POST', `/devices/${mine.device}/resend`, { item: 'it-policy' });
  await ok('PUT', `/accounts/${mine.account}/it-policy`, { policy: 'Default' });
  await ok('PUT', `/groups/theirs/members/${mine.account}`);
  await ok('DELETE', `/groups/theirs/members/${mine.account}`);
  await ok('POST', '/tokens', { name: mine.account, role: 'junior-helpdesk' });
  const { entries } = (await get('/audit?limit=3')) as { entries: Record<string, unknown>[] };
  assert.deepEqual(
    entries.map(({ operation, actor }) => [operation, actor]),
    [
      ['PUT /accounts/:name/it-policy', 'first'],
      ['POST /devices/:id/resend', 'first'],
      ['PUT /groups/:name/it-policy', 'first'],
    ],
  );
  assert.deepEqual(
    entries.map(({ detail }) => detail),
    [{}, {}, {}],
  );
  for (const path of ['/audit/verification', '/audit/export', '/figures', '/retention']) {
    assert.equal((await call('GET', path)).status, 403, path);
  }
  const { entries: found } = (await get('/audit?actor=first&operation=resend')) as { entries: unknown[] };
  assert.equal(found.length, 1);
});

test('the stream tells him of his accounts, and not when something changes elsewhere', patient, async () => {
  const stream = await openStream({ url: admin.url, token });
  await stream.untilTold('it is live', isReady);
  await record('device-clock-differs', foreign.device);
  await record('component-registered', 'one');
  const own = await record('device-clock-differs', mine.device);
  await stream.untilTold('his own', ({ message }) => message === own);
  const told = stream.told.filter(({ topic }) => topic !== 'stream');
  assert.deepEqual(
    told.map(({ topic, message }) => message ?? topic).filter((text) => text !== own && text.includes(' ')),
    [],
  );
  stream.close();
  const back = await openStream({ url: admin.url, token }, { after: stream.lastId() });
  await back.untilTold('it is live again', isReady);
  // Whether an account has left the groups meanwhile is not known of what was missed.
  assert.equal(back.told[0]?.kind, 'reset');
  back.close();
});

test('when the last of his groups is gone, he sees nothing', patient, async () => {
  await ok('POST', '/groups', { name: 'short-lived' });
  const { call: ask } = await limited('orphan', 'local', 'short-lived');
  await ok('DELETE', '/groups/short-lived');
  const accounts = await ask('GET', '/accounts');
  assert.deepEqual(accounts.body, { accounts: [], next: null });
  const { instances, groups } = (await ask('GET', '/status')).body as { instances: unknown[]; groups: string[] };
  assert.deepEqual([instances, groups], [[], []]);
});
