/**
 * Silent devices cost patience, never the last slot: with any number of them the others get what they are owed, within the
 * time that suspects.ts argues, and the budget holds at every moment. Time is what the deliveries' own stamps say.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { budgetSchema } from '../api/budget.ts';
import type { CommandId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import type { ConnectRequest } from '../devices/connect-request.ts';
import { connectDevices } from '../devices/connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain } from '../devices/device-fixture.ts';
import { maxHandOuts } from '../devices/unanswered-commands.ts';
import { endingWithin } from '../testing/property.ts';
import { applyBudget, silentPatience } from './budget.ts';
import { countOpenDeliveries, holdReason, readSlots } from './situation.ts';
import { markSuspects, takeBackAllSilent, takeBackForgotten, takeBackSilent } from './suspects.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 3 });
after(async () => await db.end());
const { here, there } = await seedDomain(db);
const limits = { perInstance: 2, perDomain: 3, suspects: 1, suspectAfterSeconds: 60 };
const inForce = { ...limits };
await applyLimits({});

async function applyLimits(changed: Partial<typeof limits>): Promise<void> {
  Object.assign(inForce, limits, changed);
  await db.begin(async (tx) => await applyBudget(tx, budgetSchema.parse(inForce), [here, there]));
}

/** `gone` takes a command and never comes again, `mute` comes again and again and never answers. */
type Kind = 'healthy' | 'gone' | 'mute';
interface Member {
  kind: Kind;
  at: typeof here;
  fixture: DeviceFixture;
  has: boolean;
}

async function say({ fixture, at }: Member, status: ConnectRequest['status'], commandId: CommandId | null) {
  const { token, fingerprint, enrolment } = fixture;
  const nothing = { answer: null, inventory: null, options: null };
  const request = { token, fingerprint, enrolment, overTls: true, status, commandId, ...nothing };
  const [outcome] = await connectDevices(db, at, [request]);
  assert.ok(outcome?.kind === 'served');
  return outcome.commandId;
}

async function come(member: Member): Promise<void> {
  if (member.kind === 'gone' && member.has) return;
  const command = await say(member, 'idle', null);
  if (command !== null && member.kind === 'healthy') await say(member, 'done', command);
  if (command !== null) member.has = true;
}

let number = 0;
type Place = (kind: Kind, index: number) => typeof here;
const byTurns: Place = (_kind, index) => (index % 2 === 0 ? here : there);

async function seedFleet(kinds: readonly Kind[], placeOf = byTurns): Promise<Member[]> {
  await db`update delivery_permit set delivery_id = null, taken_at = null`;
  await db`truncate command, delivery`;
  await db`delete from account`;
  const fleet: Member[] = [];
  for (const [index, kind] of kinds.entries()) {
    const at = placeOf(kind, index);
    const fixture = await seedDevice(db, at, `silent-${number++}`);
    await seedCommand(db, fixture, { budgeted: true, item: 'it-policy' });
    fleet.push({ kind, at, fixture, has: false });
  }
  return fleet;
}

const passSeconds = async (seconds: number) =>
  void (await db`update delivery set handed_out_at = handed_out_at - make_interval(secs => ${seconds})`);

test('what a clock that was ahead handed out is silent, not with its device until that date', async () => {
  await applyLimits({});
  const [member] = await seedFleet(['gone'], () => here);
  assert.ok(member);
  await come(member);
  assert.deepEqual(await markSuspects(db, here, limits.suspectAfterSeconds), []);
  await passSeconds(-365 * 86_400);
  assert.equal((await markSuspects(db, here, limits.suspectAfterSeconds)).length, 1);
});

async function turn(at: typeof here): Promise<void> {
  await takeBackSilent(db, at, limits.suspectAfterSeconds);
  await takeBackForgotten(db, limits.suspectAfterSeconds);
  await markSuspects(db, at, limits.suspectAfterSeconds);
}

/** From outside: by the deliveries' states, and by the permits that stand for them. */
async function assertWithin(): Promise<void> {
  const [count] = await db<{ out: number; suspects: number; unpaid: number; overpaid: number; most: number }[]>`
    select count(*) filter (where d.state = 'handed-out')::int as out,
           count(*) filter (where d.state = 'suspect')::int as suspects,
           count(*) filter (where d.state in ('handed-out', 'suspect')
             and not exists (select 1 from delivery_permit p where p.delivery_id = d.id))::int as unpaid,
           count(*) filter (where d.state not in ('handed-out', 'suspect')
             and exists (select 1 from delivery_permit p where p.delivery_id = d.id))::int as overpaid,
           (select max(taken)::int from (select count(delivery_id) as taken from delivery_permit
             where scope not in ('domain', 'suspects') group by scope) scopes) as most
      from delivery d`;
  assert.ok(count);
  assert.deepEqual([count.unpaid, count.overpaid], [0, 0]);
  const { perDomain, suspects, perInstance } = inForce;
  assert.ok(count.out <= perDomain && count.suspects <= suspects && count.most <= perInstance);
}

const fleets = fc.record({
  gone: fc.integer({ min: 0, max: 9 }),
  mute: fc.nat(2),
  healthy: fc.integer({ min: 1, max: 3 }),
  order: fc.infiniteStream(fc.nat(100)),
});
interface Fleet {
  gone: number;
  mute: number;
  healthy: number;
  order: Iterator<number>;
}

/** The silent ones come first, which is the worst for the others. @param turning the instances that take turns */
async function assertHealthyAreDone(
  { gone, mute, healthy, order }: Fleet,
  placeOf: Place,
  turning: readonly (typeof here)[],
  maxRounds: number,
): Promise<void> {
  const kinds = [...Array(gone).fill('gone'), ...Array(mute).fill('mute'), ...Array(healthy).fill('healthy')];
  const fleet = await seedFleet(kinds as Kind[], placeOf);
  const open = async () =>
    await db`select 1 from delivery where state <> 'done' and device_id = any(${fleet
      .filter(({ kind }) => kind === 'healthy')
      .map(({ fixture }) => fixture.deviceId)}::uuid[])`;
  let rounds = 0;
  while ((await open()).length > 0) {
    assert.ok(rounds++ < maxRounds, `not done after ${maxRounds} time-outs`);
    const shuffled = fleet
      .map((member) => ({ member, place: order.next().value + (member.kind === 'healthy' ? 50 : 0) }))
      .sort((one, other) => one.place - other.place);
    for (const { member } of shuffled) await come(member);
    await assertWithin();
    await passSeconds(limits.suspectAfterSeconds + 1);
    for (const at of turning) {
      await turn(at);
      await assertWithin();
    }
  }
}

test('with any number of silent devices all others are done, in the time that their slots take to come back', {
  timeout: 300_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fleets, async (fleet) => {
      // One that is gone has a slot for `silentPatience` time-outs and a turn, once; a mute one until its command is given
      // up. An instance waits only while two slots are so taken.
      const { gone, mute } = fleet;
      const maxRounds = Math.ceil(((silentPatience + 1) * gone + (maxHandOuts + 2) * mute) / 2) + 2;
      await assertHealthyAreDone(fleet, byTurns, [here, there], maxRounds);
    }),
    { numRuns: 15, ...endingWithin() },
  );
});

/** For the time of a test. */
async function withBudget(changed: Partial<typeof limits>, work: () => Promise<void>): Promise<void> {
  await applyLimits(changed);
  try {
    await work();
  } finally {
    await applyLimits({});
  }
}

test('so they are though all silent devices belong to an instance that takes no turns, as if it were dead or of 1.1', {
  timeout: 300_000,
}, async () => {
  // The silent ones alone can hold every slot of the domain, and nobody makes them suspects.
  await withBudget({ perInstance: limits.perDomain }, async () => {
    const apart: Place = (kind) => (kind === 'healthy' ? here : there);
    await fc.assert(
      fc.asyncProperty(fleets, async (fleet) => {
        // One that is gone has a slot for one time-out more.
        const { gone, mute } = fleet;
        const silentRounds = (silentPatience + 2) * (gone + 3) + (maxHandOuts + 2) * mute;
        await assertHealthyAreDone(fleet, apart, [here], Math.ceil(silentRounds / limits.perDomain) + 2);
      }),
      { numRuns: 15 },
    );
  });
});

test('that an instance without turns lets silent devices hold slots is said, though suspects’ places are free', async () => {
  await withBudget({ perDomain: 1 }, async () => {
    const fleet = await seedFleet(['gone', 'healthy'], (kind) => (kind === 'gone' ? there : here));
    for (const member of fleet) await come(member);
    const reason = async () => {
      const slots = await readSlots(db, here, 20, limits.suspectAfterSeconds);
      const situation = { ...(await countOpenDeliveries(db, here)), ...slots };
      return holdReason({ ...situation, owed: 1 }, { instance: 9, domain: 9 }, 0);
    };
    await passSeconds(limits.suspectAfterSeconds + 1);
    await turn(here);
    assert.equal(await reason(), 'slots-domain', 'its own instance may be about to');
    await passSeconds(limits.suspectAfterSeconds);
    assert.equal(await reason(), 'suspects');
    await passSeconds(limits.suspectAfterSeconds * silentPatience);
    await turn(here);
    await come(fleet[1] as Member);
    assert.equal((await db`select 1 from delivery where state = 'done'`).length, 1);
  });
});

test('silent devices keep their slots until their patience is over, and nothing is taken back while a suspect’s place is free', async () => {
  const fleet = await seedFleet(['gone', 'gone', 'gone', 'gone']);
  for (const member of fleet) await come(member);
  const states = async () =>
    (await db<{ state: string }[]>`select state from delivery order by handed_out_at`).map(({ state }) => state).sort();
  assert.deepEqual(await states(), ['handed-out', 'handed-out', 'handed-out', 'released']);
  const silent = async () => {
    const slots = await readSlots(db, here, 20, limits.suspectAfterSeconds);
    const situation = { ...(await countOpenDeliveries(db, here)), ...slots };
    return [situation.silentDomain, holdReason({ ...situation, owed: 1 }, { instance: 9, domain: 9 }, 0)];
  };
  await passSeconds(61);
  for (const at of [here, there]) await turn(at);
  assert.deepEqual(await states(), ['handed-out', 'handed-out', 'released', 'suspect'], 'as far as the cap allows');
  await come(fleet[3] as Member);
  await passSeconds(61);
  for (const at of [here, there]) await turn(at);
  assert.deepEqual(await states(), ['handed-out', 'handed-out', 'handed-out', 'suspect']);
  assert.deepEqual(await silent(), [3, 'suspects'], 'and that is what is shown');
  await passSeconds(61 * (silentPatience - 2));
  for (const at of [here, there]) await turn(at);
  assert.deepEqual(
    await states(),
    ['handed-out', 'released', 'released', 'suspect'],
    'the three oldest, and one follows',
  );
  assert.equal((await db`select 1 from command where state = 'queued'`).length, 2);
});

test('an operator takes back what silent devices have, of all instances and at once; their late answers count', async () => {
  const fleet = await seedFleet(['gone', 'gone', 'gone']);
  for (const member of fleet) await come(member);
  assert.deepEqual(await db.begin((tx) => takeBackAllSilent(tx, limits.suspectAfterSeconds)), []);
  await passSeconds(61);
  assert.equal((await db.begin((tx) => takeBackAllSilent(tx, limits.suspectAfterSeconds))).length, 3);
  assert.equal((await db`select 1 from delivery_permit where delivery_id is not null`).length, 0);
  const first = fleet[0] as Member;
  const [command] = await db<{ id: CommandId }[]>`select id from command where device_id = ${first.fixture.deviceId}`;
  assert.equal(await say(first, 'done', command?.id ?? null), null);
  const [settled] = await db`select state from delivery where device_id = ${first.fixture.deviceId}`;
  assert.equal(settled?.['state'], 'done');
});
