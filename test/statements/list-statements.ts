/** Statements of lists: whatever the sort, the filter and the groups that somebody is limited to, a page costs what is on it. */
import { chooseAccounts } from '../../src/accounts/account-choice.ts';
import * as accountList from '../../src/accounts/account-list.ts';
import * as accountSearch from '../../src/accounts/account-search.ts';
import { type DeviceId, newId } from '../../src/base/ids.ts';
import { listCommands } from '../../src/devices/command-queue.ts';
import * as deviceList from '../../src/devices/device-list.ts';
import * as deviceSearch from '../../src/devices/device-search.ts';
import { listEvents } from '../../src/domain/events.ts';
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
    name: 'lists: commands of a device, events',
    of: [listCommands, listEvents],
    maxRows: 500,
    run: async (q, { deviceIds: [deviceId] }) => {
      const { next } = await listCommands(q, deviceId as DeviceId, { sort: '-queuedAt', limit: 2 });
      await listCommands(q, deviceId as DeviceId, { sort: '-queuedAt', limit: 2, after: next ?? undefined });
      await listEvents(q, { sort: '-id', limit });
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
