/** When identities are due, and how many renewals begin: the rules against the statements. */
import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { budgetSchema } from '../api/budget.ts';
import { identitySettingsSchema, renewalRetrySeconds } from '../domain/identity-settings.ts';
import { addDevices, addInstance, openFleet } from '../policies/fleet-fixture.ts';
import { isAnyRenewalDue, oweRenewals, readRenewalsUnderWay } from './owe-renewals.ts';
import { renewalsAllowed } from './renewal-pace.ts';

const fleet = await openFleet();
after(() => fleet.close());
const { db } = fleet;
const one = await addInstance(db, 1);
const two = await addInstance(db, 2);
const settings = identitySettingsSchema.parse({});
beforeEach(async () => {
  await db`truncate account cascade`;
});

/** Identities of a year that end in so many days. */
async function endIn(days: number, issued = true): Promise<void> {
  await db`
    update device set identity_expires_at = now() + make_interval(days => ${days}),
           identity_issued_at = case when ${issued} then now() + make_interval(days => ${days}) - interval '365 days' end`;
}

async function owe(limit = 1000): Promise<number> {
  return await oweRenewals(db, one.id, settings, limit);
}

test('a fleet that enrolled on one day is due over a month, from a third of the time left on', async () => {
  const count = 400;
  await addDevices(db, one.id, count);
  for (const issued of [true, false]) {
    await endIn(122, issued);
    assert.equal(await isAnyRenewalDue(db, one.id), false);
    const dueOn = async (daysLeft: number) => {
      await endIn(daysLeft, issued);
      const [row] = await db<{ due: number }[]>`
        select count(*)::int as due from device
         where identity_renewal_due(id, identity_issued_at, identity_expires_at) <= extract(epoch from now())`;
      return row?.due ?? 0;
    };
    const shares = [];
    for (const daysLeft of [114, 106, 99, 91]) shares.push((await dueOn(daysLeft)) / count);
    for (const [index, share] of shares.entries())
      assert.ok(Math.abs(share - (index + 1) / 4) < 0.12, shares.join(' '));
    assert.equal(shares.at(-1), 1);
  }
});

test('only devices of the instance that are to stay are owed it, the most urgent first, and once', async () => {
  const [soon, later, leaving, gone, never] = await addDevices(db, one.id, 5);
  const [elsewhere] = await addDevices(db, two.id, 1);
  await endIn(60);
  await db`update device set identity_expires_at = now() + interval '5 days', identity_issued_at = now() - interval '360 days' where id = ${soon?.id ?? ''}`;
  await db`update device set removing_since = now() where id = ${leaving?.id ?? ''}`;
  await db`update device set state = 'gone' where id = ${gone?.id ?? ''}`;
  await db`update device set identity_expires_at = null, identity_issued_at = null where id = ${never?.id ?? ''}`;
  assert.equal(await owe(1), 1);
  assert.equal(await owe(), 1);
  assert.equal(await owe(), 0);
  const owed = await db<{ id: string }[]>`select device_id as id from delivery where budgeted order by owed_at`;
  assert.deepEqual(
    owed.map(({ id }) => id),
    [soon?.id, later?.id],
  );
  assert.equal(await oweRenewals(db, two.id, settings, 10), 1);
  const [other] = await db`select device_id as id from delivery where device_id = ${elsewhere?.id ?? ''}`;
  assert.ok(other);
});

test('in a rollover what the former authority issued is due, whatever its date, and nothing that was issued since', async () => {
  const [old, undated, renewed, other] = await addDevices(db, one.id, 4);
  assert.ok(old && undated && renewed && other);
  await endIn(300);
  const former = { name: Buffer.from('former'), lastIssueAt: new Date() };
  await db`update device set identity_certificate = 'by the successor', identity_issued_at = now() + interval '1 minute'`;
  assert.equal(await isAnyRenewalDue(db, one.id, former), false);
  assert.equal(await oweRenewals(db, one.id, settings, 10, former), 0);
  await db`
    update device set identity_certificate = 'by the former', identity_issued_at = now() - interval '65 days',
           identity_fingerprint = 'print-' || id where id in ${db([old.id, undated.id])}`;
  await db`update device set identity_issued_at = null where id = ${undated.id}`;
  // Its date leaves it open, its certificate does not.
  await db`update device set identity_issued_at = now() - interval '1 day' where id = ${other.id}`;
  assert.equal(await isAnyRenewalDue(db, one.id, former), true);
  assert.equal(await oweRenewals(db, one.id, settings, 10, former), 2);
  const owed = await db<{ id: string }[]>`select device_id as id from delivery`;
  assert.deepEqual(new Set(owed.map(({ id }) => id)), new Set([old.id, undated.id]));
});

test('a try that came to nothing is followed by the next as late as the rule says', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await endIn(60);
  for (const attempts of [1, 2, 5, 6, 7, 40]) {
    const after = renewalRetrySeconds(settings, attempts);
    assert.ok(after <= settings.renewAgainAtMostSeconds);
    const tried = async (secondsAgo: number) => {
      await db`delete from delivery`;
      await db`
        with tried as (
          insert into delivery (id, account_id, device_id, item, cause, budgeted, state, settled_at)
          values (gen_random_uuid(), ${device.accountId}, ${device.id}, 'device-identity', 'renewal', true, 'failed',
                  now() - make_interval(secs => ${secondsAgo}))
          returning id)
        insert into device_renewal (device_id, delivery_id, challenge, attempts)
        select ${device.id}, id, 'c', ${attempts} from tried
        on conflict (device_id) do update set delivery_id = excluded.delivery_id, attempts = excluded.attempts`;
      return await owe();
    };
    assert.equal(await tried(after - 30), 0, `after ${attempts}`);
    assert.equal(await tried(after + 1), 1, `after ${attempts}`);
    assert.equal(await tried(-86_400), 1, 'settled by a clock that was ahead');
  }
});

test('an acknowledged try is waited for until the device has come and still proves what it had', async () => {
  const [device] = await addDevices(db, one.id, 1);
  assert.ok(device);
  await endIn(60);
  await db`
    with tried as (
      insert into delivery (id, account_id, device_id, item, cause, budgeted, state, settled_at)
      values (gen_random_uuid(), ${device.accountId}, ${device.id}, 'device-identity', 'renewal', true, 'done',
              now() - interval '1 day') returning id)
    insert into device_renewal (device_id, delivery_id, challenge, attempts) select ${device.id}, id, 'c', 1 from tried`;
  await db`update device set last_seen_at = now() - interval '2 days'`;
  assert.equal(await owe(), 0);
  await db`update device set last_seen_at = now()`;
  assert.equal(await owe(), 1);
});

test('renewals take a quarter of rates and slots, and devices that are away none', async () => {
  const budget = budgetSchema.parse({});
  const nothing = { begunHere: 0, begun: 0, openHere: 0, open: 0 };
  assert.equal(renewalsAllowed(budget, nothing), 7);
  assert.equal(renewalsAllowed(budget, { ...nothing, openHere: 7, open: 7 }), 0);
  assert.equal(renewalsAllowed(budget, { ...nothing, open: 14 }), 1);
  assert.equal(renewalsAllowed(budget, { ...nothing, begunHere: 24, begun: 24 }), 1);
  assert.equal(renewalsAllowed(budget, { ...nothing, begun: 80 }), 0);
  assert.equal(renewalsAllowed(budgetSchema.parse({ perInstance: 1, perMinuteInstance: 1 }), nothing), 1);

  await addDevices(db, one.id, 6);
  await addDevices(db, two.id, 2);
  await endIn(60);
  assert.equal(await owe(), 6);
  assert.equal(await oweRenewals(db, two.id, settings, 10), 2);
  assert.deepEqual(await readRenewalsUnderWay(db, one.id, 20), { begunHere: 6, begun: 8, openHere: 6, open: 8 });
  // Three of them are asleep, one is done; a minute later nothing has begun of late.
  await db`update delivery set owed_at = owed_at - interval '2 minutes'`;
  await db`
    update delivery set state = 'released', released_at = now() - interval '1 minute'
     where id in (select v.id from delivery v join account a on a.id = v.account_id where a.instance_id = ${one.id} limit 3)`;
  await db`update delivery set state = 'done' where id in (select id from delivery where state = 'owed' limit 1)`;
  const { begun, open } = await readRenewalsUnderWay(db, one.id, 20);
  assert.deepEqual([begun, open], [0, 4]);
  // Begun by a clock that was ahead, and released by it: nobody knows when.
  await db`update delivery set owed_at = now() + interval '1 year', released_at = now() + interval '1 year'`;
  const ahead = await readRenewalsUnderWay(db, one.id, 20);
  assert.deepEqual([ahead.begun, ahead.open], [0, 4]);
});
