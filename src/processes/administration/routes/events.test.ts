/** Events over REST, live: in order, once, and without gaps, whatever happens to the connection or the database. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../../../database/connection.ts';
import { beginEventStream } from '../../../domain/copied-events.ts';
import { recordEvent } from '../../../domain/events.ts';
import { isReady, openStream } from '../../../rest/stream-fixture.ts';
import { until } from '../../../testing/condition.ts';
import { startAdministration } from '../administration-fixture.ts';
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

test('while nobody listens, nothing is asked', limited, async () => {
  const listening = async () =>
    (await admin.db`select 1 from pg_stat_activity where datname = current_database() and query like 'listen %'`)
      .length;
  const stream = await opened();
  assert.equal(await listening(), 1);
  stream.close();
  await until('the session that listened has ended', 30_000, async () => (await listening()) === 0);
});
