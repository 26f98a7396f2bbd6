/** For tests: an administration service with groups, and what belongs to the accounts in them. */
import assert from 'node:assert/strict';
import type { Operation, Operations } from '../../api/operation.ts';
import { resources } from '../../api/operations.ts';
import type { InstanceId } from '../../base/ids.ts';
import { seedCommand, seedDevice } from '../../devices/device-fixture.ts';
import { jsonCaller } from '../../rest/json-call-fixture.ts';
import { type AdministrationFixture, startAdministration } from './administration-fixture.ts';

const generous = { burst: 10_000, perSecond: 10_000 };

export const allOperations: readonly Operation[] = Object.values<Operations>(resources).flatMap((resource) =>
  Object.values<Operation>(resource),
);

interface Seeded {
  group: string;
  account: string;
  device: string;
  command: string;
  batch: string;
}

interface ScopeFixture {
  admin: AdministrationFixture;
  /** As an administrator who sees everything. */
  ok(method: string, path: string, body?: unknown): Promise<unknown>;
  /** A group, an account in it with a device that has a command and a delivery, and a batch that moves the account. */
  seed(group: string, account: string): Promise<Seeded>;
  /** Somebody who is limited to a group: what he asks with, and his token. */
  limited(name: string, role: string, group?: string): Promise<{ call: AdministrationFixture['call']; token: string }>;
}

export async function startScope(): Promise<ScopeFixture> {
  const admin = await startAdministration({ rates: { administrator: generous, unknown: generous } });
  const ok: ScopeFixture['ok'] = async (method, path, body) => {
    const answer = await admin.call(method, path, body);
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  return {
    admin,
    ok,
    seed: async (group, account) => {
      const [instance] = await admin.db<{ id: InstanceId }[]>`select id from instance where name = 'one'`;
      assert.ok(instance);
      await ok('POST', '/groups', { name: group });
      const device = await seedDevice(admin.db, instance.id, account);
      await ok('PUT', `/groups/${group}/members/${account}`);
      const { commandId } = await seedCommand(admin.db, device, { item: 'synchronization' });
      const { batch } = (await ok('POST', '/moves', { accounts: [account], to: 'two' })) as { batch: string };
      return { group, account, device: device.deviceId as string, command: commandId as string, batch };
    },
    limited: async (name, role, group = 'ours') => {
      const { token } = (await ok('POST', '/tokens', { name, role, groups: [group] })) as { token: string };
      return { call: jsonCaller({ url: admin.url, token }), token };
    },
  };
}
