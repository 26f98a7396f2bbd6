/** Events over REST, live: in order, once, and without gaps, whatever happens to the connection or the database. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { lostStandings, standingOf } from '../../../access/standing.ts';
import type { StreamTopic } from '../../../api/event-stream.ts';
import { rightsOf } from '../../../api/rights.ts';
import type { InstanceId } from '../../../base/ids.ts';
import { type Database, openDatabase, withDatabase } from '../../../database/connection.ts';
import { seedDevice } from '../../../devices/device-fixture.ts';
import { beginEventStream } from '../../../domain/copied-events.ts';
import { recordEvent } from '../../../domain/events.ts';
import { isReady, openStream } from '../../../rest/stream-fixture.ts';
import { until } from '../../../testing/condition.ts';
import { registerTestRouter, startAdministration } from '../administration-fixture.ts';
import { administrationServer } from '../administration-server.ts';

const limited = { timeout: 90_000 };
const admin = await startAdministration();
const writer = openDatabase(admin.databaseUrl, { applicationName: 'bramble/server/one@test#2', max: 4 });
after(async () => {
  await writer.end({ timeout: 5 });
  await admin.close();
});
let number = 0;
const record = async (q = writer): Promise<string> => {
  const message = `event ${++number}`;
  await recordEvent(q, { kind: 'test', message });
  return message;
};
const opened = async (options: Parameters<typeof openStream>[1] = {}) => {
  const stream = await openStream(admin, options);
  await stream.untilTold('it is live', isReady);
  return stream;
};
const eventsOf = ({ told }: { told: { topic: string; message?: string | undefined }[] }) =>
  told.filter(({ topic }) => topic === 'events').map(({ message }) => message);

test('who does not ask for a stream gets the list, as before', limited, async () => {
  const message = await record();
  for (const accept of ['application/json', '*/*']) {
    const response = await fetch(`${admin.url}/api/v1/events?limit=1`, {
      headers: { accept, authorization: `Bearer ${admin.token}` },
    });
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
    assert.equal(((await response.json()) as { events: { message: string }[] }).events[0]?.message, message);
  }
});

test('the list is of what was asked for: a kind, somebody, a time; and pages go on', limited, async () => {
  const [one] = await admin.db<{ id: InstanceId; srp: string }[]>`
    select id, srp_identifier as srp from instance where name = 'one'`;
  assert.ok(one);
  const { deviceId } = await seedDevice(admin.db, one.id, 'filtered');
  const write = async (kind: string, subject: string, at: string) =>
    await admin.db`insert into event (kind, subject, message, at) values (${kind}, ${subject}, ${`${kind} of ${subject}`}, ${at})`;
  await write('odd', 'filtered', '2026-01-01T08:00:00Z');
  await write('even', deviceId, '2026-01-01T09:00:00Z');
  await write('odd', one.srp, '2026-01-01T10:00:00Z');
  await write('even', 'one', '2026-01-01T11:00:00Z');
  // Written late, by a transaction that began before.
  await write('odd', 'filtered', '2026-01-01T07:00:00Z');
  const found = async (query: string) => {
    const messages: string[] = [];
    for (let next: string | null = ''; next !== null; ) {
      const path: string = `/events?${query}&limit=1${next === '' ? '' : `&after=${next}`}`;
      const { status, body } = await admin.call('GET', path);
      assert.equal(status, 200, path);
      const page = body as { events: { message: string }[]; next: string | null };
      messages.push(...page.events.map(({ message }) => message));
      ({ next } = page);
    }
    return messages;
  };
  const [account, device] = ['odd of filtered', `even of ${deviceId}`];
  const [identifier, instance] = [`odd of ${one.srp}`, 'even of one'];
  const january = 'since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z';
  for (const [query, expected] of [
    [january, [instance, identifier, device, account, account]],
    [`${january}&sort=at`, [account, account, device, identifier, instance]],
    ['kind=odd', [identifier, account, account]],
    ['account=filtered', [device, account, account]],
    ['account=filtered&kind=even', [device]],
    [`device=${deviceId}`, [device]],
    [`device=${deviceId}&instance=one`, []],
    ['instance=one', [instance, identifier]],
    [`instance=${one.srp}&since=2026-01-01T10:30:00Z`, [instance]],
    ['subject=filtered&until=2026-01-01T08:00:00Z', [account]],
    ['subject=nobody', []],
  ] as const) {
    assert.deepEqual(await found(query), expected, query);
  }
  for (const query of ['account=nobody', 'instance=nowhere'])
    assert.equal((await admin.call('GET', `/events?${query}`)).status, 404, query);
  for (const query of ['device=x', 'since=yesterday', `kind=${'k'.repeat(201)}`])
    assert.equal((await admin.call('GET', `/events?${query}`)).status, 400, query);
  assert.equal((await openStream(admin, { query: '?kind=odd' })).status, 400);
});

test('an event is told to all streams, with the number that the list has', limited, async () => {
  const streams = [await opened(), await opened()];
  const message = await record();
  for (const stream of streams) {
    const told = await stream.untilTold('the event', (each) => each.message === message);
    const { events } = (await admin.call('GET', '/events?limit=1')).body as { events: { id: number }[] };
    assert.deepEqual([told.topic, told.kind, told.event], ['events', 'test', events[0]?.id]);
    stream.close();
  }
});

test('a stream goes on behind the last message that was received, once and in order', limited, async () => {
  const first = await opened();
  const before = await record();
  await first.untilTold('the first', ({ message }) => message === before);
  first.close();
  const missed = [await record(), await record(), await record()];
  const second = await opened({ after: first.lastId() });
  const later = await record();
  await second.untilTold('what comes', ({ message }) => message === later);
  assert.deepEqual(eventsOf(second), [...missed, later]);
  second.close();
  // From where the hub has begun anew.
  const third = await opened({ after: first.lastId() });
  assert.deepEqual(eventsOf(third), [...missed, later]);
  third.close();
});

test(
  'an event that is committed late comes before those that waited for it, and the stream says that it is behind',
  limited,
  async () => {
    const stream = await opened();
    const late = await writer.begin(async (tx) => {
      await record(tx as never);
      const early = await record();
      const behind = await stream.untilTold('it is behind', ({ kind }) => kind === 'behind');
      assert.ok(behind.at.getTime() <= Date.now());
      assert.ok(!stream.told.some(({ message }) => message === early));
      return early;
    });
    await stream.untilTold('it has caught up', ({ kind }) => kind === 'current');
    assert.deepEqual(eventsOf(stream).slice(-2), [`event ${number - 1}`, late]);
    stream.close();
  },
);

test('who asks for what is not there any more, or of another stream, is told to look again', limited, async () => {
  const stream = await opened();
  const id = stream.lastId();
  stream.close();
  for (const after of ['00000000.1.1', 'nonsense', `${id.split('.')[0]}.1.1`, `${id.split('.')[0]}.99999999999999.1`]) {
    const other = await opened({ after });
    assert.deepEqual(
      other.told.slice(0, 2).map(({ kind }) => kind),
      ['reset', 'ready'],
      after,
    );
    other.close();
  }
  await writer.begin(async (tx) => await beginEventStream(tx));
  const restored = await opened({ after: id });
  assert.equal(restored.told[0]?.kind, 'reset');
  restored.close();
});

test('topics that nobody knows are refused', limited, async () => {
  assert.equal((await openStream(admin, { query: '?topics=events,weather' })).status, 400);
  assert.equal((await openStream({ ...admin, token: 'wrong' })).status, 401);
});

test('a service that ends says so to its streams, and waits for none', limited, async () => {
  const app = await administrationServer({ context: admin.context });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const stream = await openStream({ url, token: admin.token });
  await stream.untilTold('it is live', isReady);
  await app.close();
  await stream.ended;
  assert.equal(stream.told.at(-1)?.kind, 'closing');
});

test('streams end as soon as the service is to end, before any of its listeners closes', limited, async () => {
  const stopping = new AbortController();
  const app = await administrationServer({ context: { ...admin.context, stopping: stopping.signal } });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const stream = await openStream({ url, token: admin.token });
  await stream.untilTold('it is live', isReady);
  stopping.abort();
  await stream.ended;
  assert.equal(stream.told.at(-1)?.kind, 'closing');
  await app.close();
});

test('while nobody listens, nothing is asked', limited, async () => {
  const listening = async () =>
    (await admin.db`select 1 from pg_stat_activity where datname = current_database() and query like 'listen %'`)
      .length;
  const stream = await opened();
  assert.equal(await listening(), 1);
  stream.close();
  await until('the session that listened has ended', 30_000, async () => (await listening()) === 0);
});

const newToken = async (name: string, role: string): Promise<string> => {
  const made = await admin.call('POST', '/tokens', { name, role });
  assert.equal(made.status, 201);
  return (made.body as { token: string }).token;
};

test('a stream ends with the token, and when the token’s rights change', limited, async () => {
  const revoked = await openStream({ url: admin.url, token: await newToken('leaves', 'security') });
  await admin.call('POST', '/roles', { name: 'watchers', rights: ['events.read', 'accounts.read'] });
  const narrowed = await openStream({ url: admin.url, token: await newToken('narrowed', 'watchers') });
  const stays = await opened();
  for (const stream of [revoked, narrowed]) await stream.untilTold('it is live', isReady);
  await admin.call('DELETE', '/tokens/leaves');
  await revoked.ended;
  assert.equal(revoked.told.at(-1)?.kind, 'ended');
  await admin.db`update custom_role set rights = '{events.read}' where name = 'watchers'`;
  await narrowed.ended;
  assert.equal(narrowed.told.at(-1)?.kind, 'ended');
  const message = await record();
  await stays.untilTold('the others are told', (each) => each.message === message);
  stays.close();
});

test('a session that has ended takes its streams along', limited, async () => {
  const [session] = await admin.db<{ id: string }[]>`
    with a as (
      insert into administrator (id, name, role, created_by) values (gen_random_uuid(), 'ada', 'security', 'test') returning id)
    insert into administrator_session (id, digest, administrator_id, method, address, client, expires_at)
    select gen_random_uuid(), '\x01', id, 'password', '::1', 'test', now() + interval '1 hour' from a returning id::text as id`;
  const standing = standingOf({
    ...{ kind: 'administrator', id: 'of the administrator', name: 'ada', rights: new Set(rightsOf('security')) },
    ...{ groups: null, session: session?.id ?? '', provenAt: null, owes: null },
  });
  assert.deepEqual([...(await lostStandings(admin.db, [standing]))], []);
  await admin.db`update administrator_session set ended_at = now()`;
  assert.deepEqual([...(await lostStandings(admin.db, [standing]))], [standing]);
});

test('nobody is told of what he may not see', limited, async () => {
  const token = await newToken('server', 'server-only');
  assert.equal((await openStream({ url: admin.url, token }, { query: '?topics=accounts' })).status, 403);
  const stream = await openStream({ url: admin.url, token });
  const everything = await opened();
  await stream.untilTold('it is live', isReady);
  await admin.call('POST', '/accounts', { name: 'eve', instance: 'one' });
  await everything.untilTold('accounts have changed', ({ topic }) => topic === 'accounts');
  const message = await record();
  await stream.untilTold('the event', (each) => each.message === message);
  assert.ok(!stream.told.some(({ topic }) => topic === 'accounts'));
  stream.close();
  everything.close();
});

/** A session that ends tells PostgreSQL's statistics at once what it wrote. */
async function written<Result>(work: (q: Database) => Promise<Result>): Promise<Result> {
  return await withDatabase(admin.databaseUrl, 'bramble/server/one@test#3', work);
}

test('each thing that changes is told of, and a device that only connects is not', limited, async () => {
  const [one] = await admin.db<{ id: InstanceId }[]>`select id from instance where name = 'one'`;
  assert.ok(one);
  const stream = await opened({ query: '?topics=devices,policies,components,upgrade,moves,deliveries' });
  const { deviceId } = await written((q) => seedDevice(q, one.id, 'bob'));
  await stream.untilTold('devices have changed', ({ topic }) => topic === 'devices');
  const changes: Partial<Record<StreamTopic, (q: Database) => Promise<unknown>>> = {
    components: (q) => registerTestRouter(q, 'router-9'),
    policies: async (q) => await q`update it_policy set rules = rules || '{"passwordRequired": true}'`,
    upgrade: async (q) => {
      await q`insert into upgrade (id, from_release, to_release, state, plan) values (gen_random_uuid(), '1', '2', 'planned', '{}')`;
      await q`insert into upgrade_event (upgrade_id, generation, state, message) select id, 1, 'planned', 'x' from upgrade`;
    },
    moves: async (q) =>
      await q`insert into move_batch (id, purpose, state, created_by) values (gen_random_uuid(), 'manual', 'done', 'test')`,
    deliveries: async (q) =>
      await q`insert into delivery (id, account_id, device_id, item, cause, budgeted) select gen_random_uuid(), account_id, id, 'it-policy', 'manual', false from device`,
  };
  for (const [topic, change] of Object.entries(changes)) {
    await written(async (q) => {
      await q`update device set last_seen_at = now() where id = ${deviceId}`;
      await change(q);
    });
    await stream.untilTold(`${topic} have changed`, (each) => each.topic === topic);
  }
  assert.equal(stream.told.filter(({ topic }) => topic === 'devices').length, 1);
  stream.close();
});
