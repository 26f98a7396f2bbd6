/** What the new release sent is found by who compiled and who handed out; what devices have of it is sent again once. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { mostLookedThrough } from '../../api/upgrade-effects.ts';
import type { InstanceId } from '../../base/ids.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { type DeviceFixture, seedDevice } from '../../devices/device-fixture.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { readLatestUpgrade, recordUpgradeEvent } from '../state/upgrade-store.ts';
import { insertTestDomain, insertTestInstance } from '../steps/domain-fixture.ts';
import { readEffects } from './effects.ts';
import { startUpgrade, writePlan } from './operator-actions.ts';
import { sendAgain } from './send-again.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test', max: 3 });
after(async () => await db.end({ timeout: 5 }));
await insertTestDomain(db);
const east = await insertTestInstance(db, { name: 'east', accounts: 0 });
const [ada, bea, cy] = await Promise.all(
  ['ada', 'bea', 'cy'].map((name) => seedDevice(db, east.id as InstanceId, name)),
);
assert.ok(ada && bea && cy);
const west = await insertTestInstance(db, { name: 'west', accounts: 0, release: '1.1.0' });
const all = { limit: 100 };

async function deliver(
  { accountId, deviceId }: DeviceFixture,
  by: { release: string; instance: string; item?: string; state?: string; minutesAgo: number },
): Promise<void> {
  const { release, instance, item = 'it-policy', state = 'done', minutesAgo } = by;
  const at = db`now() - make_interval(mins => ${minutesAgo})`;
  const [made] = await db<{ id: string }[]>`
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, compiled_by, instance_id, owed_at, released_at,
                          handed_out_at, settled_at)
    values (gen_random_uuid(), ${accountId}, ${deviceId}, ${item}, 'move', true, ${state}, ${release}, ${east.id}, ${at}, ${at},
            ${state === 'released' ? null : at}, ${state === 'done' ? at : null})
    returning id`;
  assert.ok(made);
  if (state === 'done') return await order({ accountId, deviceId }, instance, minutesAgo, made.id);
  const sent = state === 'handed-out' ? { state: 'sent', at, instance } : { state: 'queued', at: null, instance: null };
  await db`
    insert into command (id, device_id, account_id, delivery_id, request_type, body, state, sent_at, sent_instance)
    values (gen_random_uuid(), ${deviceId}, ${accountId}, ${made.id}, 'X', '', ${sent.state}, ${sent.at}, ${sent.instance})`;
}

async function order(
  { accountId, deviceId }: Pick<DeviceFixture, 'accountId' | 'deviceId'>,
  instance: string,
  minutesAgo: number,
  deliveryId: string | null = null,
): Promise<void> {
  await db`
    insert into command (id, device_id, account_id, delivery_id, request_type, body, state, sent_at, sent_instance)
    values (gen_random_uuid(), ${deviceId}, ${accountId}, ${deliveryId}, 'X', '', 'acknowledged',
            now() - make_interval(mins => ${minutesAgo}), ${instance})`;
}

const target = { release: '1.1.0', features: [], differences: [] };
const latest = async () => {
  const upgrade = await readLatestUpgrade(db);
  assert.ok(upgrade);
  return upgrade;
};
const setState = async (state: string) => await db`update upgrade set state = ${state}, generation = generation + 1`;
const owed = async () =>
  await db`
    select a.name, d.item, d.cause, d.budgeted from delivery d join account a on a.id = d.account_id
     where d.state = 'owed' order by 1, 2`;

test('without an upgrade, or before its release was at work, there is nothing', async () => {
  await assert.rejects(readEffects(db, all), { code: 'ERR_UPGRADE_NONE' });
  const upgrade = await db.begin((tx) =>
    writePlan(tx, { by: 'ada', target, host: 'here', features: [], platforms: registeredPlatforms }),
  );
  await db.begin((tx) => startUpgrade(tx, { by: 'ada', host: 'here' }));
  await deliver(ada, { release: '1.0.0', instance: east.id, minutesAgo: 90 });
  const before = await readEffects(db, all);
  assert.deepEqual([before.since, before.accounts, before.total?.handedOut], [null, [], 0]);

  await recordUpgradeEvent(db, { ...upgrade, state: 'admin-fenced' }, 'the database now belongs to release 1.1.0');
  await db`update upgrade_event set at = now() - interval '1 hour' where state = 'admin-fenced'`;
  const made = { name: 'west', instanceId: west.id, replaces: 'east', replacesId: east.id, processes: [] };
  await db`update upgrade set progress = progress || ${db.json({ newInstances: [made] })}`;
  await setState('moving');
  assert.deepEqual((await readEffects(db, all)).accounts, [], 'what the old release sent is none');
});

test('deliveries, commands, moves and requests are counted by account and in total, page by page', async () => {
  await deliver(ada, { release: '1.1.0', instance: west.id, minutesAgo: 50 });
  await deliver(ada, { release: '1.1.0', instance: west.id, item: 'service-books', minutesAgo: 50 });
  // Compiled by the old release, handed out by the new one; and the other way round, which is still to be handed out.
  await deliver(bea, { release: '1.0.0', instance: west.id, item: 'synchronization', minutesAgo: 40 });
  await deliver(bea, { release: '1.1.0', instance: west.id, state: 'released', minutesAgo: 30 });
  await order(cy, west.id, 20);
  await order(cy, east.id, 20);
  await db`
    insert into audit_record (kind, actor, operation, subjects)
    values ('operation', 'ada', 'PUT /accounts/:name', '{cy}'), ('operation', 'ada', 'PUT /it-policies/:name', '{cy}'),
           ('operation', 'coordinator', 'upgrade step moving', '{cy}')`;
  await db`
    with batch as (insert into move_batch (id, purpose, state, created_by) values (gen_random_uuid(), 'wave', 'done', 'x') returning id)
    insert into account_move (id, batch_id, account_id, from_instance_id, to_instance_id, state, committed_at)
    select gen_random_uuid(), id, ${ada.accountId}, ${east.id}, ${west.id}, 'closed', now() from batch`;
  const { total, accounts, next } = await readEffects(db, all);
  assert.ok(total);
  const shown = accounts.map(({ account, handedOut, itPolicies, done, open, commands, moves, changes, onDevices }) => [
    ...[account, handedOut, itPolicies, done, open, commands, moves, changes, onDevices],
  ]);
  assert.deepEqual(shown, [
    ['ada', 2, 1, 2, 0, 0, 1, 0, 2],
    ['bea', 1, 0, 1, 1, 0, 0, 0, 0],
    ['cy', 0, 0, 0, 0, 1, 0, 1, 0],
  ]);
  assert.deepEqual([total.handedOut, total.open, total.commands, total.moves, total.changes], [3, 1, 1, 1, 2]);
  assert.equal(next, null);
  const first = await readEffects(db, { limit: 2 });
  assert.deepEqual([first.accounts.map(({ account }) => account), first.next], [['ada', 'bea'], 'bea']);
  const last = await readEffects(db, { limit: 2, after: 'bea' });
  assert.deepEqual([last.accounts.map(({ account }) => account), last.next], [['cy'], null]);
  assert.deepEqual([first.total, last.total], [total, null], 'the total is of all pages, and shown with the first');
  const one = await readEffects(db, { limit: 2, account: 'cy' });
  assert.deepEqual(
    one.accounts.map(({ account }) => account),
    ['cy'],
  );
  await assert.rejects(readEffects(db, { limit: 2, account: 'eve' }), { code: 'ERR_NOT_FOUND' });
});

test('where few accounts have effects a page is short, and says where the next one begins', async () => {
  const { accounts: others } = await insertTestInstance(db, { name: 'quiet', accounts: mostLookedThrough });
  const pages: [string[], string | null][] = [];
  for (let after: string | null = 'bea'; after !== null; after = pages.at(-1)?.[1] ?? null) {
    const { accounts, next } = await readEffects(db, { limit: 2, after });
    pages.push([accounts.map(({ account }) => account), next]);
  }
  const [{ last } = { last: null }] = await db<{ last: string }[]>`
    select name as last from account where name > 'bea' order by name limit 1 offset ${mostLookedThrough - 1}`;
  assert.deepEqual(pages, [
    [['cy'], last],
    [[], null],
  ]);
  await db`delete from account_epoch using account where account_id = id and name = any(${others}::text[])`;
  await db`delete from account where name = any(${others}::text[])`;
});

test('an emptied instance counts as one of the new release from when it was upgraded until it was given back', async () => {
  const log = async (release: string, minutesAgo: number) => {
    await recordUpgradeEvent(db, await latest(), 'x', { instanceId: east.id, release });
    await db`
      update upgrade_event set at = now() - make_interval(mins => ${minutesAgo}) where id = (select max(id) from upgrade_event)`;
  };
  const before = (await readEffects(db, all)).total?.commands;
  assert.ok(before !== undefined);
  await log('1.1.0', 15);
  await order(cy, east.id, 12);
  assert.equal((await readEffects(db, all)).total?.commands, before + 1, 'and not what it did 20 minutes ago');
  await log('1.0.0', 10);
  await order(cy, east.id, 5);
  assert.equal((await readEffects(db, all)).total?.commands, before + 1);
  await db`delete from command where sent_instance = ${east.id} and sent_at > now() - interval '15 minutes'`;
});

const again = async (accounts?: string[]) =>
  await db.begin((tx) => sendAgain(tx, registeredPlatforms, { by: 'bea', accounts, limit: 100 }));

const nobodyLeft = { left: { accounts: 0, instances: [] }, next: null };

test('it is sent again after a reversal only, once, under the budget, and to accounts that are back', async () => {
  await assert.rejects(again(), { code: 'ERR_UPGRADE_STATE', message: /reverse it first/ });
  await setState('reversing');
  await db`update account set instance_id = ${west.id} where name = 'ada'`;
  const left = { accounts: 1, instances: ['west'] };
  assert.deepEqual(await again(['ada']), { accounts: 0, deliveriesOwed: 0, left, next: null }, 'moving back sends it');
  await db`update account set instance_id = ${east.id} where name = 'ada'`;
  await setState('reversed');
  await assert.rejects(again(['ada', 'eve']), { code: 'ERR_NOT_FOUND', message: /eve/ });
  assert.deepEqual(
    await again(['cy']),
    { accounts: 0, deliveriesOwed: 0, ...nobodyLeft },
    'nothing is of the new release',
  );
  assert.deepEqual(await again(['ada']), { accounts: 1, deliveriesOwed: 2, ...nobodyLeft });
  assert.deepEqual(
    [...(await owed())],
    ['it-policy', 'service-books'].map((item) => ({ name: 'ada', item, cause: 'manual', budgeted: true })),
  );
  assert.deepEqual(await again(['ada']), { accounts: 0, deliveriesOwed: 0, ...nobodyLeft }, 'it is owed already');
  const said = await db<{ message: string }[]>`select message from upgrade_event where message like '%send again%'`;
  assert.deepEqual(
    said.map(({ message }) => message),
    ['bea has the previous release send again 2 deliveries to 1 account'],
    'once, with who asked',
  );
  const [under] = (await readEffects(db, all)).accounts;
  assert.deepEqual([under?.onDevices, under?.sendingAgain], [2, 2]);

  await db`delete from delivery where state = 'owed'`;
  await deliver(ada, { release: '1.0.0', instance: east.id, minutesAgo: 1 });
  const [one] = (await readEffects(db, all)).accounts;
  assert.deepEqual([one?.onDevices, one?.sendingAgain], [1, 0], 'the policy is the old release’s again');
  assert.deepEqual(await again(['ada']), { accounts: 1, deliveriesOwed: 1, ...nobodyLeft });
});

test('what waits in a queue is withdrawn and compiled anew; what a device may have by now is followed by another', async () => {
  await db`delete from delivery where state = 'owed'`;
  await deliver(cy, { release: '1.1.0', instance: east.id, state: 'handed-out', minutesAgo: 10 });
  // Of the old release, and waiting: it is left alone.
  await deliver(cy, { release: '1.0.0', instance: east.id, item: 'service-books', state: 'released', minutesAgo: 10 });
  assert.deepEqual(await again(['bea', 'cy']), { accounts: 2, deliveriesOwed: 2, ...nobodyLeft });
  assert.deepEqual(
    (await owed()).map(({ name, item }) => [name, item]),
    [
      ['bea', 'it-policy'],
      ['cy', 'it-policy'],
    ],
  );
  const queue = await db<{ what: string }[]>`
    select a.name || ' ' || d.compiled_by || ' ' || d.item || ': ' || d.state || ', ' || c.state as what
      from delivery d join account a on a.id = d.account_id join command c on c.delivery_id = d.id
     where a.name in ('bea', 'cy') and d.state <> 'done' order by 1`;
  assert.deepEqual(
    queue.map(({ what }) => what),
    [
      'bea 1.1.0 it-policy: superseded, cancelled',
      'cy 1.0.0 service-books: released, queued',
      'cy 1.1.0 it-policy: handed-out, sent',
    ],
  );
});

test('an account whose instance was replaced in place is back once the process of the old release serves', async () => {
  await db`delete from delivery where state = 'owed'`;
  const report = async (release: string, serving: boolean) =>
    await db`
      update component set release = ${release}, detail = detail || ${db.json({ serving })} where name = 'east'`;
  const left = { accounts: 1, instances: ['east'] };
  for (const [release, serving] of [
    ['1.1.0', true],
    ['1.0.0', false],
  ] as const) {
    await report(release, serving);
    assert.deepEqual(await again(['bea', 'cy']), { accounts: 0, deliveriesOwed: 0, left, next: null });
  }
  await report('1.0.0', true);
  assert.deepEqual(await again(['cy']), { accounts: 1, deliveriesOwed: 1, ...nobodyLeft });
});

test('it goes in steps, each of them whole; what one that broke off has owed is not owed again', async () => {
  await db`delete from delivery where state = 'owed'`;
  await deliver(bea, { release: '1.1.0', instance: east.id, minutesAgo: 9 });
  const step = async (after: string | undefined, limit: number) =>
    await db.begin((tx) => sendAgain(tx, registeredPlatforms, { by: 'bea', after, limit }));
  const first = await step(undefined, 1);
  assert.deepEqual(first, { accounts: 1, deliveriesOwed: 1, ...nobodyLeft, next: 'ada' });
  const broken = new Error('the process ends');
  await assert.rejects(
    db.begin(async (tx) => {
      await sendAgain(tx, registeredPlatforms, { by: 'bea', after: 'ada', limit: 1 });
      throw broken;
    }),
    broken,
  );
  assert.deepEqual(
    (await owed()).map(({ name }) => name),
    ['ada'],
  );
  // Whoever asked does not know how far it came, and begins anew.
  const again = [await step(undefined, 2), await step('bea', 2)];
  assert.deepEqual(
    again.map(({ accounts, deliveriesOwed, next }) => [accounts, deliveriesOwed, next]),
    [
      [1, 1, 'bea'],
      [1, 1, null],
    ],
  );
  assert.deepEqual(
    (await owed()).map(({ name }) => name),
    ['ada', 'bea', 'cy'],
  );
});

test('two who ask at once owe everything once', async () => {
  await db`delete from delivery where state = 'owed'`;
  const both = await Promise.all([again(), again()]);
  assert.deepEqual(both.map(({ deliveriesOwed }) => deliveriesOwed).sort(), [0, 3]);
});
