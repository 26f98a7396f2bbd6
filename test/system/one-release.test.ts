/** One release at work: devices of every kind are activated, get what is theirs, and do what they are told. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { deviceCommandOperations, type OperatorCommand } from '../../src/api/device-commands.ts';
import { deviceOperations } from '../../src/api/devices.ts';
import { domainOperations } from '../../src/api/domain.ts';
import { groupOperations } from '../../src/api/groups.ts';
import { itPolicyOperations } from '../../src/api/it-policies.ts';
import { parseCommand } from '../../src/protocol/apple/command.ts';
import { parseProfile } from '../../src/protocol/apple/profile.ts';
import { planFleet } from '../../src/simulator/fleet-plan.ts';
import { currentProfiles } from '../../src/simulator/journal-summary.ts';
import { until } from '../../src/testing/condition.ts';
import { type AtWork, startAtWork } from '../harness/at-work.ts';
import type { RunningDomain } from '../harness/domain.ts';
import { assertNothingLost, readEvidence, untilAnswered } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { enrolFleet } from '../harness/preparation.ts';

const fleetOptions = { devices: 8, accounts: 8, seed: 'one-release', interval: '500ms' };
const planned = planFleet(fleetOptions.seed, fleetOptions.devices, fleetOptions.accounts);

interface DeviceRow {
  id: string;
  name: string;
  account: string;
}

describe('a domain of one release', () => {
  let at: AtWork;
  let domain: RunningDomain;
  let fleet: RunningFleet;

  before(async () => {
    at = await startAtWork({ fleet: { ...fleetOptions, args: ['--not-now', '0'] } });
    ({ domain, fleet } = at);
  });
  after(async () => {
    await fleet?.stop();
    await at?.stop();
  });

  /** The active device of a kind, by its plan's name. */
  async function deviceOf(kind: string): Promise<DeviceRow> {
    const entry = planned.find(({ plan }) => plan.kind.name === kind);
    assert(entry, `no ${kind} in the fleet`);
    const [row] = await domain.sql<{ id: string }[]>`
      select id from device where udid = ${entry.plan.udid} and state = 'active'`;
    assert(row, `${kind} is not active`);
    return { id: row.id, name: entry.plan.name, account: entry.account };
  }

  async function send(device: DeviceRow, body: OperatorCommand): Promise<string> {
    const { commandUuid } = await domain.api.call(deviceCommandOperations.queue, { params: { id: device.id }, body });
    return commandUuid.toLowerCase();
  }

  async function untilCommand(id: string, state: string): Promise<void> {
    await until(`the command is ${state}`, 30_000, async () => {
      const [row] = await domain.sql`select state from command where id = ${id}`;
      return row?.['state'] === state;
    });
  }

  test('each kind of process works with a database role of its own, the supervisor too', async () => {
    const rows = await domain.sql<{ kind: string; role: string }[]>`
      select distinct split_part(replace(application_name, '@', '/'), '/', 2) as kind, usename as role
        from pg_stat_activity where application_name like 'bramble/%' order by 1`;
    assert.deepEqual(
      rows.map((row) => `${row.kind} ${row.role}`),
      ['administration', 'connection', 'server', 'supervisor'].map((kind) => `${kind} bramble_${kind}`),
    );
    // Read raw: the shape's default would hide that it is missing.
    assert.partialDeepStrictEqual(await domain.api.send(domainOperations.status, {}), { sharedDatabaseRole: null });
    const check = await domain.command('database', 'roles', '--check');
    assert.deepEqual(
      [check.code, check.stdout],
      [0, 'Every role can log in and has exactly the rights that it needs.\n'],
    );
  });

  test('every kind of device gets its IT policy, and service books and a synchronization where its software can', async () => {
    const rows = await domain.sql<{ udid: string; item: string; state: string }[]>`
      select d.udid, v.item, v.state from delivery v join device d on d.id = v.device_id order by v.item`;
    for (const { plan } of planned) {
      const own = rows.filter((row) => row.udid === plan.udid).map(({ item, state }) => `${item} ${state}`);
      const expected =
        plan.kind.deviceSoftware === '3.9'
          ? ['it-policy done']
          : ['it-policy done', 'service-books done', 'synchronization done'];
      assert.deepEqual(own, expected, plan.kind.name);
    }
  });

  test('what the domain says was applied is what the devices hold', async () => {
    const profiles = currentProfiles((await readEvidence(fleet)).journal);
    const rows = await domain.sql<{ udid: string; policy: string; books: string | null }[]>`
      select udid, applied_policy_revision as policy, applied_books_revision as books from device
       where state = 'active'`;
    assert.equal(rows.length, planned.length);
    for (const { udid, policy, books } of rows) {
      const name = planned.find(({ plan }) => plan.udid === udid)?.plan.name ?? '';
      const held = [...(profiles.get(name)?.values() ?? [])].map(({ revision }) => revision).sort();
      const said = [policy, books].filter((revision) => revision !== null).map((revision) => revision.slice(0, 16));
      for (const revision of said) assert(held.includes(revision), `${name}: ${revision} is not among ${held}`);
    }
  });

  test('a service book names the instance that serves it, and each device’s own version decides which it gets', async () => {
    const profiles = currentProfiles((await readEvidence(fleet)).journal);
    const identifiers = await domain.sql<{ udid: string; srp: string }[]>`
      select d.udid, i.srp_identifier as srp from device d join account a on a.id = d.account_id
        join instance i on i.id = a.instance_id where d.state = 'active'`;
    for (const { plan } of planned) {
      const payloads = [...(profiles.get(plan.name)?.values() ?? [])].flatMap((profile) => profile.payloads);
      const books = payloads.filter(({ name }) => name.startsWith('['));
      const srp = identifiers.find((row) => row.udid === plan.udid)?.srp ?? '';
      if (plan.kind.deviceSoftware === '3.9') assert.deepEqual(books, []);
      else assert(books.length > 0 && books.every(({ name }) => name.includes(srp)), `${plan.kind.name} at ${srp}`);
      const relay = books.some(({ type }) => type === 'com.apple.relay.managed');
      const major = Number.parseInt(plan.kind.osVersion, 10);
      if (plan.kind.system === 'iOS') assert.equal(relay, major >= 17, plan.kind.name);
      if (plan.kind.system === 'macOS') assert.equal(relay, major >= 14, plan.kind.name);
    }
  });

  test('a synchronization brings inventory and the device’s own options', async () => {
    for (const { plan } of planned.filter(({ plan: { kind } }) => kind.deviceSoftware !== '3.9')) {
      const [row] = await domain.sql<{ options: Record<string, unknown>; inventory: Record<string, unknown> }[]>`
        select options, inventory from device where udid = ${plan.udid} and state = 'active'`;
      assert(Object.keys(row?.options ?? {}).length > 0, `${plan.kind.name} has no options`);
      for (const [key, value] of Object.entries(row?.options ?? {})) assert.equal(value, plan.options[key], key);
      assert.equal(row?.inventory['OSVersion'], plan.kind.osVersion);
    }
  });

  test('a policy of the user goes before one of a group, and that before Default', async () => {
    const device = await deviceOf('iphone-18.1');
    const account = { params: { name: device.account } };
    const member = { params: { name: 'field staff', account: device.account } };
    const { api } = domain;
    const [preset] = await domain.sql<{ rules: Record<string, number> }[]>`
      select rules from it_policy where name = 'Default'`;
    const rules = { passwordRequired: true, passwordMinimumLength: 12 };
    await api.call(itPolicyOperations.create, { body: { name: 'Own', rules } });
    const assign = (policy: string | null) =>
      api.call(itPolicyOperations.assignToAccount, { ...account, body: { policy } });
    const steps: [what: string, change: () => Promise<unknown>, length: number | undefined][] = [
      ['a group', () => api.call(groupOperations.addMember, member), 8],
      ['the user', () => assign('Own'), 12],
      ['the group again', () => assign(null), 8],
      ['Default', () => api.call(groupOperations.removeMember, member), preset?.rules['passwordMinimumLength']],
    ];
    for (const [what, change, length] of steps) {
      await change();
      await until(`the policy of ${what} is acknowledged`, 30_000, async () => {
        return (await acknowledgedMinimumLength(device.id)) === length;
      });
    }
  });

  /** What the policy that the device acknowledged last says of the length of passwords. */
  async function acknowledgedMinimumLength(deviceId: string): Promise<unknown> {
    const [row] = await domain.sql<{ body: Buffer }[]>`
      select c.body from command c join delivery v on v.id = c.delivery_id
       where c.device_id = ${deviceId} and v.item = 'it-policy' and c.state = 'acknowledged'
       order by c.sequence desc limit 1`;
    if (!row) return undefined;
    const payload = parseCommand(row.body).fields['Payload'];
    assert(payload instanceof Uint8Array);
    return parseProfile(payload)
      .payloads.map(({ content }) => content['minLength'])
      .find((length) => length !== undefined);
  }

  test('remote commands are carried out, and an answer can be read', async () => {
    const device = await deviceOf('iphone-17.5');
    const lock = await send(device, { requestType: 'DeviceLock', message: 'Please bring it back' });
    const list = await send(device, { requestType: 'ProfileList' });
    await untilCommand(lock, 'acknowledged');
    await untilCommand(list, 'acknowledged');
    const { journal } = await readEvidence(fleet);
    const locked = journal.filter((entry) => entry.event === 'locked' && entry.device === device.name);
    assert.equal(locked.length, 1);
    const { commands } = await domain.api.call(deviceCommandOperations.list, { params: { id: device.id } });
    const answer = commands.find(({ commandUuid }) => commandUuid === list)?.answer;
    assert(Array.isArray(answer?.['ProfileList']) && answer['ProfileList'].length > 0, JSON.stringify(answer));
  });

  test('a command that a device answers with NotNow waits, and is carried out once it can be', async () => {
    const device = await deviceOf('mac-14.5');
    await fleet.tell({ do: 'behave', devices: [device.name], notNowProbability: 1 });
    const id = await send(device, { requestType: 'ProfileList' });
    await untilCommand(id, 'not-now');
    await fleet.tell({ do: 'behave', devices: [device.name], notNowProbability: 0 });
    await untilCommand(id, 'acknowledged');
    const story = (await untilAnswered(fleet, [id])).commands.get(id);
    assert(story !== undefined && story.notNow >= 1);
    assert.deepEqual([story.executed, story.answersAccepted], [1, 1]);
  });

  test('a device that checks out is left alone, and what it was owed ends', async () => {
    const device = await deviceOf('iphone-15.7');
    await fleet.tell({ do: 'check-out', devices: [device.name] });
    await until('the device is gone', 20_000, async () => {
      const [row] = await domain.sql`select state from device where id = ${device.id}`;
      return row?.['state'] === 'gone';
    });
    await assert.rejects(send(device, { requestType: 'ProfileList' }), { status: 409, code: 'ERR_STATE' });
    const [open] = await domain.sql<{ open: number }[]>`
      select (select count(*)::int from command where device_id = ${device.id} and state in ('queued', 'sent', 'not-now'))
           + (select count(*)::int from delivery_permit p join delivery v on v.id = p.delivery_id
               where v.device_id = ${device.id}) as open`;
    assert.equal(open?.open, 0);
  });

  test('nothing was lost or done twice', async () => {
    await assertNothingLost(domain, fleet);
  });

  test('device options are kept when a wiped device is activated again', async () => {
    await fleet.stop();
    const device = await deviceOf('agent-4.2');
    await domain.sql`update device set options = options || '{"KeptOption": "kept"}' where id = ${device.id}`;
    // The same seed makes the same devices, which know nothing of their enrolment any more.
    const journal = join(domain.home, 'journal-again.ndjson');
    fleet = await enrolFleet(domain, { ...fleetOptions, journal });
    const again = await deviceOf('agent-4.2');
    assert.notEqual(again.id, device.id);
    const [row] = await domain.sql<{ options: Record<string, unknown> }[]>`
      select options from device where id = ${again.id}`;
    assert.equal(row?.options['KeptOption'], 'kept');
    const [before] = await domain.sql`
      select state, suspended_by as by from device where id = ${device.id} and suspended_at is not null`;
    assert.deepEqual({ ...before }, { state: 'authenticated', by: again.id }, 'suspended');
  });

  test('a device that an administrator removes is told to leave, leaves, and is served no more', async () => {
    const device = await deviceOf('agent-4.2');
    await domain.api.call(deviceOperations.remove, { params: { id: device.id } });
    await until('the device has left', 60_000, async () => {
      const { devices } = await fleet.tell<{ devices: { name: string; state: string }[] }>({ do: 'devices' });
      return devices.find(({ name }) => name === device.name)?.state === 'left';
    });
    const [row] = await domain.sql`select state from device where id = ${device.id}`;
    assert.equal(row?.['state'], 'gone');
  });
});
