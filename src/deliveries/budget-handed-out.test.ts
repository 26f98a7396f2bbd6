import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { budgetSchema } from '../api/budget.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { sqlState } from '../database/sql-state.ts';
import type { ConnectRequest } from '../devices/connect-request.ts';
import { connectDevices } from '../devices/connect-statement.ts';
import { type DeviceFixture, seedCommand, seedDevice, seedDomain } from '../devices/device-fixture.ts';
import { endingWithin } from '../testing/property.ts';
import { applyBudget } from './budget.ts';
import { collectStrayPermits } from './permits.ts';
import { markSuspects } from './suspects.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 8 });
after(async () => await db.end());
const { here, there } = await seedDomain(db);
const limits = { perInstance: 2, perDomain: 3, suspects: 1 };
await db.begin(async (tx) => await applyBudget(tx, budgetSchema.parse(limits), [here, there]));
const devices: DeviceFixture[] = [];
for (let n = 0; n < 8; n++) {
  const device = await seedDevice(db, n % 2 === 0 ? here : there, `h${n}`);
  await seedCommand(db, device, { budgeted: true, item: 'it-policy' });
  devices.push(device);
}

test('the connect statement never overdraws the budget, however contacts, answers, silence and moves interleave', async () => {
  const step = fc.record({
    kind: fc.constantFrom('idle', 'idle', 'idle', 'done', 'not-now', 'suspects', 'collect', 'move'),
    at: fc.constantFrom(here, there),
    start: fc.nat(7),
    count: fc.integer({ min: 1, max: 6 }),
  });
  const seen = { out: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 5 }),
      async (rounds) => {
        await db`update delivery_permit set delivery_id = null, taken_at = null`;
        await db`update delivery set state = 'released'`;
        await db`update command set state = 'queued'`;
        for (const round of rounds) {
          await Promise.all(
            round.map(
              async ({ kind, at, start, count }) =>
                await sentAgain(async () => {
                  const chosen = devices.slice(start, start + count);
                  if (kind === 'suspects') return void (await markSuspects(db, at, -1));
                  if (kind === 'collect') return void (await collectStrayPermits(db));
                  if (kind === 'move') {
                    const moved = chosen.map((device) => device.accountId);
                    return void (await db`
                with locked as (select id from account where id = any(${moved}::uuid[]) order by id for update)
                update account a set instance_id = ${at}, epoch = epoch + 1 from locked where a.id = locked.id`);
                  }
                  await connectDevices(db, at, await requests(chosen, kind));
                }),
            ),
          );
          seen.out = Math.max(seen.out, await assertWithin());
        }
      },
    ),
    { numRuns: 40, ...endingWithin() },
  );
  assert.equal(seen.out, limits.perDomain, 'the budget was reached, or nothing was tried');
});

/** A statement that was rolled back for a deadlock is sent again, as `connect-batch-sending.ts` does. */
async function sentAgain(step: () => Promise<void>, left = 5): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (left === 0 || sqlState(error) !== '40P01') throw error;
    await sentAgain(step, left - 1);
  }
}

/** Idle, or the answer to the command that the device holds. */
async function requests(
  chosen: readonly DeviceFixture[],
  kind: 'idle' | 'done' | 'not-now',
): Promise<ConnectRequest[]> {
  const held = await db<{ deviceId: string; id: ConnectRequest['commandId'] }[]>`
    select device_id as "deviceId", id from command where state = 'sent'`;
  const commands = new Map(held.map((row) => [row.deviceId, row.id]));
  return chosen.map(({ token, fingerprint, enrolment, deviceId }) => {
    const base = { token, fingerprint, enrolment, overTls: true, inventory: null, options: null };
    const commandId = commands.get(deviceId);
    if (kind === 'idle' || !commandId) return { ...base, status: 'idle', commandId: null, answer: null };
    return { ...base, status: kind === 'done' ? 'done' : 'later', commandId, answer: {} };
  });
}

/** From outside: by the deliveries' states, and by the permits that stand for them. */
async function assertWithin(): Promise<number> {
  const [count] = await db<{ out: number; suspects: number; unpaid: number; most: number }[]>`
    select count(*) filter (where d.state = 'handed-out')::int as out,
           count(*) filter (where d.state = 'suspect')::int as suspects,
           count(*) filter (where not exists (select 1 from delivery_permit p where p.delivery_id = d.id))::int as unpaid,
           (select max(taken)::int from (select count(delivery_id) as taken from delivery_permit
             where scope not in ('domain', 'suspects') group by scope) scopes) as most
      from delivery d where d.state in ('handed-out', 'suspect')`;
  assert.ok(count);
  assert.equal(count.unpaid, 0, 'a delivery is out without a permit');
  assert.ok(count.out <= limits.perDomain, `${count.out} are out`);
  assert.ok(count.suspects <= limits.suspects, `${count.suspects} are suspects`);
  assert.ok(count.most <= limits.perInstance, `${count.most} of one instance`);
  return count.out;
}
