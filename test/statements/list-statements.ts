/** Statements of lists: whatever the sort, the filter and the groups that somebody is limited to, a page costs what is on it. */
import { chooseAccounts } from '../../src/accounts/account-choice.ts';
import * as accountList from '../../src/accounts/account-list.ts';
import * as accountSearch from '../../src/accounts/account-search.ts';
import { type DeviceId, newId } from '../../src/base/ids.ts';
import type { Queryable } from '../../src/database/connection.ts';
import { countOpenDeliveries } from '../../src/deliveries/delivery-figures.ts';
import { listCommands } from '../../src/devices/command-queue.ts';
import { countWithin } from '../../src/devices/counts-within.ts';
import * as deviceList from '../../src/devices/device-list.ts';
import * as deviceSearch from '../../src/devices/device-search.ts';
import { isEventWithin } from '../../src/devices/event-scope.ts';
import { countIdentities } from '../../src/devices/renewal-report.ts';
import { type EventFacts, listEvents } from '../../src/domain/events.ts';
import { listOpenBatches } from '../../src/moves/move-reports.ts';
import { search } from '../../src/processes/administration/search.ts';
import type { HotStatement, Q, Subjects } from './hot-statement.ts';

/** Two looks at up to 2,000 accounts, and sorting as many. */
const fewAccounts = 8_000;
const limit = 50;
const groups = { small: newId<string>(), large: newId<string>() };

export const listStatements: readonly HotStatement[] = [
  {
    name: 'lists: accounts in every order',
    of: [accountList.listAccounts, chooseAccounts],
    maxRows: fewAccounts,
    run: async (q, { here }) => {
      for (const sort of ['name', '-name', 'createdAt', 'displayName', '-displayName'] as const) {
        const { next } = await accountList.listAccounts(q, { sort, limit });
        await accountList.listAccounts(q, { sort, limit, after: next ?? '' });
        await accountList.listAccounts(q, { sort, limit, instanceId: here });
      }
    },
  },
  {
    name: 'lists: accounts of groups',
    of: [accountList.listAccounts, chooseAccounts],
    maxRows: fewAccounts,
    before: insertGroups,
    run: async (q) => {
      for (const groupId of Object.values(groups)) {
        await accountList.listAccounts(q, { sort: 'name', limit, groupId });
        await accountList.listAccounts(q, { sort: 'createdAt', limit, within: [groupId] });
      }
    },
  },
  {
    name: 'lists: devices in every order',
    of: [deviceList.listDevices],
    maxRows: fewAccounts,
    run: async (q) => {
      for (const sort of ['id', '-id', 'createdAt', 'serialNumber', '-model'] as const) {
        const { next } = await deviceList.listDevices(q, { sort, limit, accounts: {} });
        await deviceList.listDevices(q, { sort, limit, accounts: {}, after: next ?? '' });
      }
    },
  },
  {
    name: 'lists: devices by what they are',
    of: [deviceList.listDevices, deviceList.countUnansweredDevices],
    maxRows: { perAccount: 2 },
    run: async (q) => {
      const filters: Partial<deviceList.DeviceFilter>[] = [
        ...['offered', 'suspended', 'leaving', 'active'].map((state) => ({ state })),
        ...[{ platform: 'agent' }, { model: 'none' }, { software: '1' }, { software: '18.1' }],
        ...[{ unanswered: true }, { identityEndsWithinDays: 30 }],
      ];
      for (const filter of filters) await deviceList.listDevices(q, { sort: 'id', limit, accounts: {}, ...filter });
      await deviceList.countUnansweredDevices(q);
    },
  },
  {
    name: 'lists: devices of accounts',
    of: [deviceList.listDevices, deviceList.findDevice, deviceList.lockedDevice],
    maxRows: fewAccounts,
    before: insertGroups,
    run: async (q, { here, accountIds, deviceIds }) => {
      const choices = [
        { accountId: accountIds[0] ?? '' },
        { instanceId: here },
        ...Object.values(groups).flatMap((group) => [{ groupId: group }, { within: [group] }]),
      ];
      for (const accounts of choices) await deviceList.listDevices(q, { sort: 'id', limit, accounts });
      await deviceList.lockedDevice(q, deviceIds[0] as DeviceId);
    },
  },
  {
    name: 'overview: devices by state',
    of: [deviceList.countDevicesByState],
    maxRows: { perAccount: 2 },
    run: (q) => deviceList.countDevicesByState(q),
  },
  {
    name: 'overview: of groups',
    of: [countWithin, countOpenDeliveries, deviceList.countUnansweredDevices, countIdentities, listOpenBatches],
    maxRows: { perAccount: 8 },
    before: insertGroups,
    run: async (q) => {
      for (const within of [[groups.small], [groups.large]]) {
        await countWithin(q, within);
        await countOpenDeliveries(q, within);
        await deviceList.countUnansweredDevices(q, within);
        await countIdentities(q, within);
        await listOpenBatches(q, within);
      }
    },
  },
  {
    name: 'lists: commands of a device',
    of: [listCommands],
    maxRows: 500,
    run: async (q, { deviceIds: [deviceId] }) => {
      const { next } = await listCommands(q, deviceId as DeviceId, { sort: '-queuedAt', limit: 2 });
      await listCommands(q, deviceId as DeviceId, { sort: '-queuedAt', limit: 2, after: next ?? undefined });
    },
  },
  {
    name: 'lists: events by what they are, when, and of whom',
    of: [listEvents],
    maxRows: 500,
    before: insertEvents,
    run: async (q, { deviceIds }) => {
      const [since, until] = [new Date(Date.now() - 40_000_000), new Date(Date.now() - 30_000_000)];
      const filters = [
        ...[{}, { since, until }, { kind: 'one-in-ten' }, { kind: 'one-in-ten', since, until }, { kind: 'none' }],
        ...[{ subjects: deviceIds.slice(0, 3) }, { subjects: deviceIds.slice(0, 1), since, until, kind: 'one-in-ten' }],
      ];
      for (const filter of filters) {
        for (const sort of ['at', '-at'] as const) {
          const { next } = await listEvents(q, { sort, limit, ...filter });
          await listEvents(q, { sort, limit, after: next ?? undefined, ...filter });
        }
      }
    },
  },
  {
    name: 'lists: events of groups',
    of: [listEvents],
    // A page looks at 5,000 of them, and of each that speaks of a device at this and its groups.
    maxRows: 17_500,
    before: async (q, subjects) => {
      await insertGroups(q, subjects);
      await insertEvents(q, subjects);
    },
    run: async (q, { deviceIds }) => {
      for (const within of [[groups.small], [groups.large], []]) {
        const sees = (inner: Queryable, event: EventFacts) => isEventWithin(inner, event, within);
        const { next } = await listEvents(q, { sort: '-at', limit, sees });
        await listEvents(q, { sort: '-at', limit, sees, after: next ?? undefined });
        await listEvents(q, { sort: '-at', limit, sees, subjects: deviceIds.slice(0, 3) });
      }
    },
  },
  {
    name: 'search: beginnings that all have, few, none',
    of: [...Object.values(accountSearch), ...Object.values(deviceSearch)],
    maxRows: fewAccounts,
    before: insertGroups,
    run: async (q) => {
      for (const within of [null, [groups.small], [groups.large]]) {
        for (const text of ['person-', 'udid-person-77', 'person', '%', 'zoe']) {
          const { next } = await search(q, { q: text, limit }, { accounts: true, devices: true, within });
          if (next !== null)
            await search(q, { q: text, limit, after: next }, { accounts: true, devices: true, within });
        }
      }
    },
  },
];

/** Parts of these. */
export const listParts = [
  ...[accountList.accountsOf, accountList.displayNameKey],
  ...[deviceList.devicesOf, deviceList.shownState, deviceList.toldKey],
];

export const listModules = { accountList, accountSearch, deviceList, deviceSearch };

/** One account in a hundred, and every other one. */
async function insertGroups(q: Q, _subjects: Subjects): Promise<void> {
  await q`insert into account_group (id, name, rank) values (${groups.small}, 'small', 1), (${groups.large}, 'large', 2)`;
  await q`
    insert into group_member (group_id, account_id)
    select g, id from (select id, row_number() over (order by name) as n from account) a,
           unnest(array[${groups.small}::uuid, ${groups.large}::uuid]) with ordinality as x (g, which)
     where n % case which when 1 then 100 else 2 end = 0`;
}

/** Each speaks of a device, one in ten of one of a few. */
async function insertEvents(q: Q, { deviceIds }: Subjects): Promise<void> {
  await q`
    insert into event (at, kind, subject, message)
    select now() - make_interval(secs => n), case n % 10 when 0 then 'one-in-ten' else 'device-clock-differs' end,
           (${deviceIds as string[]}::text[])[1 + n % 48], 'x' from generate_series(1, 40000) n`;
}
