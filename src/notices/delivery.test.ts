/** Events become notices, and notices reach their targets: a real database, real HTTP servers. */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { after, afterEach, test } from 'node:test';
import { type NewTarget, noticeKinds } from '../api/notices.ts';
import { createNameLookups } from '../base/name-lookups.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { createMasterKeys } from '../database/sealed-value.ts';
import { seedDomain } from '../devices/device-fixture.ts';
import { readDomain } from '../domain/domain.ts';
import { recordEvent } from '../domain/events.ts';
import { silentLogger } from '../process/log/logger.ts';
import { inTime, until } from '../testing/condition.ts';
import { deliverNotices } from './delivery.ts';
import { maxWaiting, trimOutbox } from './outbox.ts';
import { addTarget, listTargets, readTarget, removeTarget } from './target-store.ts';
import { teller } from './tell.ts';
import { type ReceivedHook, startWebhookReceiver } from './webhook-receiver-fixture.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test' });
after(async () => await db.end({ timeout: 5 }));
await seedDomain(db);

const masterKeys = createMasterKeys();
const key = `whsec_${randomBytes(32).toString('base64')}`;
const limited = { timeout: 120_000 };

const addWebhook = async (url: string, options: Partial<NewTarget> = {}) =>
  await db.begin((tx) =>
    addTarget(tx, masterKeys, { channel: 'webhook', url, key, kinds: null, ...options } as NewTarget),
  );
const paused = (message: string) => recordEvent(db, { kind: 'upgrade-paused', subject: '1.4.0', message });
const waiting = async (name: string) => (await readTarget(db, name))?.waiting;
/** As if the time for the next try had come. */
const retryNow = async () => {
  await db`update notice_target set retry_at = now()`;
  await db`select pg_notify('bramble_change', 'notice')`;
};

const deliveries: { end(): Promise<void> }[] = [];

/** Delivers until its end, or that of the test. */
function startDelivery(by: { release?: string } = {}): { end(): Promise<void> } {
  const stop = new AbortController();
  const tell = teller({ db, masterKeys, names: createNameLookups() });
  const running = deliverNotices({ db, tell, ...by, log: silentLogger, signal: stop.signal });
  const delivery = {
    end: async () => {
      stop.abort();
      await inTime('delivery ends', 30_000, running);
    },
  };
  deliveries.push(delivery);
  return delivery;
}

afterEach(async () => {
  for (const delivery of deliveries.splice(0)) await delivery.end();
  for (const { name } of await listTargets(db)) await db.begin((tx) => removeTarget(tx, name));
});

test('an event is told to a webhook, signed, once, and nothing is left', limited, async () => {
  const receiver = await startWebhookReceiver();
  const name = await addWebhook(receiver.url);
  const delivery = startDelivery();
  await paused('paused: the gate failed');
  await until('it is told', 30_000, async () => receiver.received.length > 0 && (await waiting(name)) === 0);
  await delivery.end();
  const [hook, ...more] = receiver.received;
  assert.ok(hook);
  assert.deepEqual(more, []);
  const { timestamp, ...json } = hook.json;
  assert.deepEqual(json, {
    type: 'upgrade.paused',
    data: { domain: 'test', kind: 'upgrade-paused', subject: '1.4.0', message: 'paused: the gate failed' },
  });
  assert.ok(!Number.isNaN(Date.parse(timestamp)));
  assert.ok(isSigned(hook));
  const target = await readTarget(db, name);
  assert.deepEqual([target?.failures, target?.lastError, target?.lastSentAt instanceof Date], [0, null, true]);
});

/** Checked as a receiver does, from what it got alone. */
function isSigned({ headers, body }: ReceivedHook): boolean {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const hmac = createHmac('sha256', Buffer.from(key.slice('whsec_'.length), 'base64')).update(signed);
  return headers['webhook-signature'] === `v1,${hmac.digest('base64')}`;
}

test(
  'what the other side refuses is tried again under the same id, and the reason is shown meanwhile',
  limited,
  async () => {
    const receiver = await startWebhookReceiver();
    receiver.answer = (response) => void response.writeHead(503).end('in\nmaintenance\u001b[2J');
    const name = await addWebhook(receiver.url);
    const delivery = startDelivery();
    await paused('first');
    await until('the failure is noted', 30_000, async () => (await readTarget(db, name))?.failures === 1);
    const target = await readTarget(db, name);
    assert.equal(target?.lastError, '503 Service Unavailable: in maintenance\\u{1b}[2J');
    assert.ok(target.retryAt !== null && target.retryAt.getTime() > Date.now());
    receiver.answer = (response) => void response.writeHead(200).end();
    await retryNow();
    await until('it is told', 30_000, async () => (await waiting(name)) === 0);
    await delivery.end();
    assert.equal(receiver.received.length, 2);
    assert.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 1);
    assert.ok(receiver.received.every(isSigned));
    assert.equal((await readTarget(db, name))?.failures, 0);
  },
);

test('a target that never answers delays no other, and delivery ends at once although it hangs', limited, async () => {
  const [hanging, good] = [await startWebhookReceiver(), await startWebhookReceiver()];
  hanging.answer = () => {};
  await addWebhook(hanging.url, { name: 'hanging' });
  await addWebhook(good.url, { name: 'good' });
  const delivery = startDelivery();
  await paused('one');
  await until('it hangs', 30_000, () => hanging.received.length === 1);
  await paused('two');
  await until('the other is told both', 30_000, async () => (await waiting('good')) === 0);
  assert.deepEqual([good.received.length, await waiting('hanging')], [2, 2]);
  await delivery.end();
  const [claimed] = await db`select claim, failures from notice_target where name = 'hanging'`;
  assert.deepEqual({ ...claimed }, { claim: null, failures: 0 });
});

test('a notice that is always refused stands in no other’s way', limited, async () => {
  const receiver = await startWebhookReceiver();
  const isPoison = ({ json }: ReceivedHook) => json.data.message === 'poison';
  receiver.answer = (response, hook) => void response.writeHead(isPoison(hook) ? 400 : 204).end();
  const name = await addWebhook(receiver.url);
  await paused('poison');
  await paused('behind it');
  startDelivery();
  await until('the first is refused', 30_000, async () => (await readTarget(db, name))?.failures === 1);
  await retryNow();
  await until('another attempt is made', 30_000, () => receiver.received.length > 1);
  assert.equal(receiver.received[1]?.json.data.message, 'behind it');
  await until('it is settled', 30_000, async () => (await waiting(name)) === 1);
});

test('two deliverers at once send each notice once', limited, async () => {
  const receiver = await startWebhookReceiver();
  const name = await addWebhook(receiver.url);
  const both = [startDelivery(), startDelivery()];
  for (let index = 0; index < 10; index++) await paused(`number ${index}`);
  await until('all are told', 30_000, async () => (await waiting(name)) === 0);
  for (const delivery of both) await delivery.end();
  assert.deepEqual(
    receiver.received.map(({ json }) => json.data.message),
    Array.from({ length: 10 }, (_, index) => `number ${index}`),
  );
});

test('a claim that was left behind runs out', limited, async () => {
  const receiver = await startWebhookReceiver();
  const name = await addWebhook(receiver.url);
  await paused('claimed by one that died');
  await db`update notice_target set claim = gen_random_uuid(), claimed_until = now() - interval '1 second'`;
  const delivery = startDelivery();
  await until('it is told', 30_000, async () => (await waiting(name)) === 0);
  await delivery.end();
  assert.equal(receiver.received.length, 1);
});

test('an administration service that is fenced records nothing, and another sends it again', limited, async () => {
  const receiver = await startWebhookReceiver();
  const answers: (() => void)[] = [];
  receiver.answer = (response) => void answers.push(() => response.writeHead(204).end());
  const name = await addWebhook(receiver.url);
  const { release } = await readDomain(db);
  const fenced = startDelivery({ release });
  await paused('on its way');
  await until('it is being sent', 30_000, () => answers.length === 1);
  await db`update domain set release = '9.9.9'`;
  try {
    answers[0]?.();
    await paused('behind the fence');
    await fenced.end();
    const [target] = await db`select claim is null as free, failures, last_sent_at from notice_target`;
    assert.deepEqual([{ ...target }, await waiting(name)], [{ free: false, failures: 0, last_sent_at: null }, 2]);
    await db`update notice_target set claimed_until = now()`;
    receiver.answer = (response) => void response.writeHead(204).end();
    startDelivery({ release: '9.9.9' });
    await until('both are told', 30_000, async () => (await waiting(name)) === 0);
  } finally {
    await db`update domain set release = ${release}`;
  }
  const [first, again] = receiver.received.map(({ headers }) => headers['webhook-id']);
  assert.equal(again, first);
  assert.equal(receiver.received.length, 3);
});

test('a target is told only the kinds that were chosen for it', async () => {
  const name = await addWebhook('https://hooks.example.org', { kinds: ['host-lost'] });
  await paused('not for it');
  await recordEvent(db, { kind: 'host-lost', subject: 'b', message: 'lost' });
  await recordEvent(db, { kind: 'host-back', subject: 'b', message: 'back' });
  await recordEvent(db, { kind: 'push-changed', message: 'nothing that is told' });
  const kinds = await db<{ kind: string }[]>`select kind from notice order by number`;
  assert.deepEqual([kinds.map(({ kind }) => kind), await waiting(name)], [['host-lost', 'host-back'], 2]);
});

test('program and schema agree about the kinds of notices', async () => {
  const [source] = await db<{ text: string }[]>`select prosrc as text from pg_proc where proname = 'notice_kind'`;
  const inSchema = [...(source?.text ?? '').matchAll(/ then '([a-z-]+)'/g)].map(([, kind]) => kind);
  assert.deepEqual([...new Set(inSchema)].sort(), [...noticeKinds].sort());
});

test('who may only write events has them told; and whatever is wrong with notices, the event is written', async () => {
  await addWebhook('https://hooks.example.org');
  const role = `${database.name}_writer`;
  await db.unsafe(`create role ${role}; grant usage on schema public to ${role}; grant insert on event to ${role}`);
  const asWriter = async (message: string) =>
    await db.begin(async (tx) => {
      await tx.unsafe(`set local role ${role}`);
      await tx`insert into event (kind, message) values ('upgrade-paused', ${message})`;
    });
  try {
    await asWriter('told');
    assert.equal((await db`select 1 from notice where message = 'told'`).length, 1);
    await db`alter table notice rename to notice_gone`;
    try {
      await asWriter('written');
    } finally {
      await db`alter table notice_gone rename to notice`;
    }
    // A change of the table that is under way: the writer waits half a second at most.
    await db.begin(async (tx) => {
      await tx`lock table notice in access exclusive mode`;
      await inTime('the event is written', 30_000, asWriter('meanwhile'));
    });
  } finally {
    await db.unsafe(`drop owned by ${role}; drop role ${role}`);
  }
  const written = await db`select message from event where message in ('written', 'meanwhile')`;
  assert.equal(written.length, 2);
});

test('of too many the oldest are dropped, and of old ones all, and both are counted', async () => {
  const name = await addWebhook('https://hooks.example.org');
  const write = async (count: number, at: string) =>
    await db`
      insert into event (at, kind, message)
      select ${at}::timestamptz, 'upgrade-paused', 'n' || n from generate_series(1, ${count}) n`;
  await write(3, '2020-01-01Z');
  await write(maxWaiting + 2, new Date().toISOString());
  assert.equal(await db.begin(trimOutbox), 5);
  const target = await readTarget(db, name);
  assert.deepEqual([target?.waiting, target?.dropped], [maxWaiting, 5]);
  const [oldest] = await db`select message from notice order by number limit 1`;
  assert.equal(oldest?.['message'], 'n3');
});

test('where nobody delivers, the outbox has an end', async () => {
  const name = await addWebhook('https://hooks.example.org');
  await db`
    insert into notice (target_id, at, kind, message)
    select t.id, now(), 'upgrade-paused', 'many' from notice_target t, generate_series(1, 9998)`;
  for (const message of ['one', 'two', 'three']) await paused(message);
  assert.equal(await waiting(name), 10_000);
});
