/** Two enrolments that name one UDID: who is served, what is owed to whom, and that nobody can silence another. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { DeviceId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { resumeSuspended } from './announcements.ts';
import { createAnnouncementScene } from './announcements-fixture.ts';
import { type DeviceFixture, seedCommand, seedDomain, seedPermits } from './device-fixture.ts';
import {
  type DevicePage,
  endSuspended,
  type NamesLookedAt,
  pageOfDevices,
  suspendEarlier,
  suspensionDays,
} from './suspension.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());
const limited = { timeout: 30_000 };
const { options, returned, enrolled, authenticate, updateToken, send, newDevice } = createAnnouncementScene(db, here);

/** An active device with a push token, last heard an hour ago. */
async function activeDevice(name: string): Promise<DeviceFixture> {
  const device = await newDevice(name);
  await authenticate(device);
  await updateToken(device);
  await db`
    update device set last_seen_at = now() - interval '1 hour', created_at = now() - interval '1 day',
           authenticated_at = now() - interval '1 day' where id = ${device.deviceId}`;
  return device;
}

/** A newcomer names the UDID of `device`. */
async function claimed(device: DeviceFixture, name: string): Promise<DeviceFixture> {
  const newcomer = { ...(await newDevice(name)), enrolment: device.enrolment };
  await authenticate(newcomer);
  return newcomer;
}

async function stateOf(device: DeviceFixture): Promise<string> {
  const { state, suspended } = await enrolled(device);
  return suspended ? 'suspended' : state;
}

const hear = async (device: DeviceFixture) => await resumeSuspended(options, await enrolled(device));
const look = async (instanceId = here, looked: NamesLookedAt = { authenticatedWithinMinutes: 5 }) =>
  await db.begin((tx) => suspendEarlier(tx, instanceId, looked));
const events = async (device: DeviceFixture) =>
  (await db`select kind, message from event where subject = ${device.deviceId} order by id`).map(
    ({ kind, message }) => [kind, message] as [string, string],
  );

test(
  'the newcomer is accepted; the earlier enrolment, of whichever account, is owed nothing any more',
  limited,
  async () => {
    const earlier = await activeDevice('wiped');
    await seedPermits(db, 'domain', 1);
    const delivery = await seedCommand(db, earlier, { budgeted: true, item: 'it-policy' });
    await db`update delivery_permit set delivery_id = ${delivery.deliveryId}`;
    const lock = await seedCommand(db, earlier, { urgent: true });
    const newcomer = await claimed(earlier, 'wiped-again');
    await updateToken(newcomer);
    assert.deepEqual([await stateOf(earlier), await stateOf(newcomer)], ['suspended', 'active']);
    const [work] = await db`
    select (select state from delivery where id = ${delivery.deliveryId}) as delivery,
           (select state from command where id = ${delivery.commandId}) as command,
           (select state from command where id = ${lock.commandId}) as lock,
           (select count(*)::int from delivery_permit where delivery_id is not null) as permits`;
    assert.deepEqual({ ...work }, { delivery: 'failed', command: 'cancelled', lock: 'queued', permits: 0 });
    const [[kind, message] = []] = await events(earlier);
    assert.equal(kind, 'device-suspended');
    assert.ok(message?.includes(earlier.deviceId) && message.includes(newcomer.deviceId), 'both are named');
  },
);

test('its key brings a suspended enrolment back, by whatever message, and both are named', limited, async () => {
  for (const by of ['connect', 'TokenUpdate', 'GetBootstrapToken', 'Authenticate'] as const) {
    const earlier = await activeDevice(`true-${by}`);
    const thief = await claimed(earlier, `thief-${by}`);
    returned.length = 0;
    if (by === 'connect') assert.deepEqual(await hear(earlier), { kind: 'done', value: true });
    else if (by === 'TokenUpdate') await updateToken(earlier);
    else if (by === 'Authenticate') await authenticate(earlier);
    else await send(earlier, by);
    assert.equal(await stateOf(earlier), by === 'Authenticate' ? 'authenticated' : 'active', by);
    assert.deepEqual(returned, [earlier.deviceId], by);
    const told = (await events(earlier)).find(([kind]) => kind === 'device-contested');
    assert.ok(told?.[1].includes(thief.deviceId), by);
  }
});

test('an enrolment that was never active does not become so by being suspended and heard', limited, async () => {
  const earlier = await newDevice('unfinished');
  await authenticate(earlier);
  await claimed(earlier, 'unfinished-again');
  assert.deepEqual(await hear(earlier), { kind: 'done', value: false });
  assert.equal(await stateOf(earlier), 'authenticated');
});

test(
  'a device that answered is not suspended again by those that were there, however often they try',
  limited,
  async () => {
    const earlier = await activeDevice('stubborn');
    const thieves = [await claimed(earlier, 'thief-1'), await claimed(earlier, 'thief-2')];
    assert.equal(await stateOf(earlier), 'suspended');
    await hear(earlier);
    for (const thief of [...thieves, ...thieves]) {
      await authenticate(thief);
      await look();
      assert.equal(await stateOf(earlier), 'active');
    }
    await claimed(earlier, 'with a further activation');
    assert.equal(await stateOf(earlier), 'suspended');
  },
);

test('a CheckOut ends a suspended enrolment and brings nothing back', limited, async () => {
  const earlier = await activeDevice('leaves');
  await claimed(earlier, 'leaves-again');
  returned.length = 0;
  await send(earlier, 'CheckOut');
  assert.deepEqual([await stateOf(earlier), returned.length], ['gone', 0]);
});

test(
  'what another instance has, that one suspends at its next look; what a move holds waits for the one after',
  limited,
  async () => {
    const earlier = await activeDevice('elsewhere');
    await db`update account set instance_id = ${there} where id = ${earlier.accountId}`;
    await claimed(earlier, 'elsewhere-again');
    assert.equal(await stateOf(earlier), 'active', 'its account is not ours');
    await look(here);
    assert.equal(await stateOf(earlier), 'active');
    await db`
    insert into account_mark (account_id, move_id, until)
    values (${earlier.accountId}, gen_random_uuid(), now() + interval '1 hour')`;
    assert.equal(await look(there), 0);
    await db`delete from account_mark where account_id = ${earlier.accountId}`;
    assert.equal(await look(there), 1);
    assert.equal(await stateOf(earlier), 'suspended');
    assert.equal(await look(there), 0);
  },
);

test('a pair whose earlier enrolment was heard since is left alone, and named once', limited, async () => {
  const earlier = await activeDevice('alive');
  await db`update account set instance_id = ${there} where id = ${earlier.accountId}`;
  await claimed(earlier, 'alive-again');
  await db`update device set last_seen_at = clock_timestamp() where id = ${earlier.deviceId}`;
  await look(there);
  await look(there);
  assert.equal(await stateOf(earlier), 'active');
  assert.deepEqual(
    (await events(earlier)).map(([kind]) => kind),
    ['device-contested'],
  );
});

test(
  'a suspended enrolment ends after its days, with all that waited; one that is heard does not',
  limited,
  async () => {
    const [silent, heard] = [await activeDevice('silent'), await activeDevice('heard')];
    await claimed(silent, 'silent-again');
    await claimed(heard, 'heard-again');
    await hear(heard);
    const lock = await seedCommand(db, silent, { urgent: true });
    const end = async () => await db.begin((tx) => endSuspended(tx, here));
    await db`
    update device set suspended_at = now() - make_interval(days => ${suspensionDays}) + interval '1 hour'
     where id = ${silent.deviceId}`;
    await end();
    assert.equal(await stateOf(silent), 'suspended');
    await db`
    update device set suspended_at = now() - make_interval(days => ${suspensionDays}),
           last_seen_at = now() - make_interval(days => ${suspensionDays + 1})
     where id = any(${[silent.deviceId, heard.deviceId]}::uuid[])`;
    await end();
    assert.deepEqual([await stateOf(silent), await stateOf(heard)], ['gone', 'active']);
    const [command] = await db`select state from command where id = ${lock.commandId}`;
    assert.equal(command?.['state'], 'cancelled');
  },
);

/** Rows of `device` that a look reads, as the database counts them. */
async function rowsRead(looked: NamesLookedAt): Promise<number> {
  return await db.begin(async (tx) => {
    const read = async () => {
      const [row] = await tx<{ rows: number }[]>`
        select (seq_tup_read + idx_tup_fetch)::int as rows from pg_stat_xact_user_tables where relname = 'device'`;
      return row?.rows ?? 0;
    };
    // What the session has read and not reported yet counts too.
    const before = await read();
    await suspendEarlier(tx, here, looked);
    return (await read()) - before;
  });
}

test(
  'a look reads the newcomers of late or one page, however large the fleet; pages find what 1.1 left',
  limited,
  async () => {
    const fleet = 20_000;
    const [earlier, newcomer] = [await activeDevice('left'), await activeDevice('left-again')];
    await db`
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, udid, created_at)
    select gen_random_uuid(), ${earlier.accountId}, 't' || n, 'apple', 'active', 'c', 'f' || n, 'u' || n,
           now() - interval '1 year' from generate_series(1, ${fleet}) n`;
    await db`
    update device set authenticated_at = null, udid = ${earlier.enrolment}, last_seen_at = now() - interval '9 days',
           created_at = case when id = ${earlier.deviceId} then now() - interval '9 days' else now() - interval '3 days' end
     where id in (${earlier.deviceId}, ${newcomer.deviceId})`;
    await db`analyze device`;
    const recent = await rowsRead({ authenticatedWithinMinutes: 5 });
    assert.ok(recent < 500, `${recent} rows`);
    assert.equal(await stateOf(earlier), 'active', 'neither came of late');
    const size = 400;
    let pages = 0;
    for (let from: DeviceId | null | undefined; from !== null; pages += 1) {
      const page: DevicePage = await pageOfDevices(db, from ?? null, size);
      const rows = await rowsRead(page);
      assert.ok(rows <= 5 * size, `${rows} rows`);
      from = page.to;
    }
    assert.ok(pages > fleet / size, `${pages} pages`);
    assert.equal(await stateOf(earlier), 'suspended');
  },
);
