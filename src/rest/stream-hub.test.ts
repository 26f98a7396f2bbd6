/** Many streams cost the database what one does, and a slow one costs nobody anything. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { StreamTopic } from '../api/event-stream.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { ringAtChanges } from '../database/change-notices.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { readEventsAfter, readLastEvents } from '../domain/event-stream.ts';
import { recordEvent } from '../domain/events.ts';
import { until } from '../testing/condition.ts';
import { createStreamHub, type StreamSource } from './stream-hub.ts';

const limited = { timeout: 90_000 };
const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/administration/hub@test#1', max: 4 });
const writer = openDatabase(url, { applicationName: 'bramble/server/writer@test#2', max: 2 });
after(async () => await Promise.all([db.end({ timeout: 5 }), writer.end({ timeout: 5 })]));
const log = { warn: () => {} };
const eventsAlone: ReadonlySet<StreamTopic> = new Set(['events']);

/** The domain's, and what was asked of it. */
function countedSource(): { source: StreamSource; asked: string[] } {
  const asked: string[] = [];
  const source: StreamSource = {
    ringAtEvents: async (bell) => {
      asked.push('listen');
      return await ringAtChanges(db, ['event'], bell);
    },
    readLast: async (limit) => {
      asked.push('last');
      return await readLastEvents(db, limit);
    },
    readAfter: async (place, limit) => {
      asked.push('after');
      return await readEventsAfter(db, place, limit);
    },
    readMarks: async () => {
      asked.push('marks');
      return new Map();
    },
    readLost: async () => {
      asked.push('lost');
      return new Set();
    },
  };
  return { source, asked };
}

/** One that takes what it is told, as long as it is willing to. */
function reader(owner: string, groups: readonly string[] | null = null, topics = eventsAlone) {
  const texts: string[] = [];
  const self = { owner, standing: owner, topics, groups, texts, takes: true, ended: false };
  return Object.assign(self, {
    tell: (text: string) => {
      if (self.takes) texts.push(text);
      return self.takes;
    },
    end: () => {
      self.ended = true;
    },
    count: (part: string) => texts.join('').split(part).length - 1,
  });
}

const sessions = async () =>
  (await writer`select 1 from pg_stat_activity where application_name = 'bramble/administration/hub@test#1'`).length;

test('200 streams ask the database for what one asks, and are told the same', limited, async () => {
  const { source, asked } = countedSource();
  const hub = createStreamHub({ source, log });
  const readers = Array.from({ length: 200 }, (_, index) => reader(`token-${index % 5}`));
  await Promise.all(readers.map(async (each) => await hub.open(each, null)));
  assert.deepEqual(
    asked.filter((each) => ['listen', 'last'].includes(each)),
    ['listen', 'last'],
  );
  // As many come back at once, after an interruption.
  const id = /id: (.*)\n/.exec(readers[0]?.texts.join('') ?? '')?.[1] ?? '';
  const again = Array.from({ length: 200 }, (_, index) => reader(`other-${index % 5}`));
  await recordEvent(writer, { kind: 'test', message: 'told to all' });
  await until('all are told', 30_000, () => readers.every((each) => each.count('told to all') === 1));
  const before = asked.length;
  await Promise.all(again.map(async (each) => await hub.open(each, id)));
  assert.ok(again.every((each) => each.count('told to all') === 1));
  assert.ok(asked.length - before <= 2, `${asked.length - before} looks for 200 streams`);
  assert.ok((await sessions()) <= 3, 'one listens, and the looks take turns');
  for (const each of [...readers, ...again]) hub.leave(each);
  await hub.close();
});

test('nobody opens more than his share', limited, async () => {
  const { source } = countedSource();
  const hub = createStreamHub({ source, log, limits: { perProcess: 3, perOwner: 2 } });
  const [one, two, three, four] = [reader('ada'), reader('ada'), reader('ada'), reader('bob')];
  await hub.open(one, null);
  await hub.open(two, null);
  await assert.rejects(hub.open(three, null), { code: 'ERR_BUSY', message: /You have 2 streams open/ });
  await hub.open(four, null);
  await assert.rejects(hub.open(reader('eve'), null), { code: 'ERR_BUSY', message: /This service has 3 streams/ });
  hub.leave(one);
  await hub.open(three, null);
  await hub.close();
  assert.ok([two, three, four].every(({ ended }) => ended));
});

test('a reader that pauses is told later what it missed, once, or that it missed something', limited, async () => {
  const { source } = countedSource();
  const hub = createStreamHub({ source, log });
  const [slow, quick] = [reader('slow'), reader('quick')];
  await Promise.all([hub.open(slow, null), hub.open(quick, null)]);
  const write = async (kind: string, count: number) =>
    void (await writer`insert into event (kind, message) select ${kind}, ${kind} || n from generate_series(1, ${count}::int) n`);
  slow.takes = false;
  await write('few', 20);
  await until('the quick one is told', 30_000, () => quick.count('"few"') === 20);
  slow.takes = true;
  hub.drained(slow);
  assert.equal(slow.count('"few"'), 20);
  slow.takes = false;
  await write('many', 1500);
  await until('the quick one is told all', 30_000, () => quick.count('"many"') === 1500);
  slow.takes = true;
  hub.drained(slow);
  assert.deepEqual([slow.count('"many"'), slow.count('"reset"'), quick.count('"reset"')], [0, 1, 0]);
  await write('last', 1);
  await until('both go on', 30_000, () => [slow, quick].every((each) => each.count('"last"') === 1));
  await hub.close();
});

test(
  'who is limited to groups is told of what speaks of them, and to look again when it is time, not when something changes',
  limited,
  async () => {
    const { source } = countedSource();
    let changes = 0;
    const groupsIn = (kind: string) => (kind === 'own' ? [['ours']] : kind === 'both' ? [['ours'], ['theirs']] : []);
    const beats: (() => void)[] = [];
    const clock: Clock = {
      now: () => Date.now(),
      sleep: async (ms, signal) => {
        if (ms < 15_000) return await systemClock.sleep(ms, signal);
        const { promise, resolve } = Promise.withResolvers<void>();
        beats.push(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
        await promise;
      },
    };
    const hub = createStreamHub({
      source: {
        ...source,
        readMarks: async (topics) => new Map(topics.map((topic) => [topic, String(++changes)])),
        readAfter: async (place, most) => {
          const look = await source.readAfter(place, most);
          return { ...look, events: look.events.map((event) => ({ ...event, groups: groupsIn(event.kind) })) };
        },
      },
      log,
      clock,
    });
    const both: ReadonlySet<StreamTopic> = new Set(['events', 'accounts']);
    const [ada, own, none] = [reader('ada', null, both), reader('own', ['ours'], both), reader('none', [], both)];
    for (const each of [own, none, ada]) await hub.open(each, null);
    for (const kind of ['domain', 'both', 'own', 'last']) await recordEvent(writer, { kind, message: `of ${kind}` });
    await until('all is told', 30_000, () => ada.count('of last') === 1 && ada.count('"accounts"') > 0);
    assert.deepEqual(
      [own, none].map((each) => ['domain', 'both', 'own', 'accounts'].map((kind) => each.count(`"${kind}"`))),
      [
        [0, 0, 1, 0],
        [0, 0, 0, 0],
      ],
    );
    await until('it waits for the next beat', 30_000, () => beats.length > 0);
    beats.shift()?.();
    await until('it is time', 30_000, () => own.count('"accounts"') === 1);
    assert.equal(none.count('"accounts"'), 1);
    await hub.close();
  },
);
