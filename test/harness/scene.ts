/** Small queries and commands that system tests share. */
import assert from 'node:assert/strict';
import { deviceCommandOperations } from '../../src/api/device-commands.ts';
import type { RunningDomain } from './domain.ts';

/** Names of the accounts of an instance, in order. */
export async function accountsAt(domain: RunningDomain, instance: string): Promise<string[]> {
  const rows = await domain.sql<{ name: string }[]>`
    select a.name from account a join instance i on i.id = a.instance_id where i.name = ${instance} order by a.name`;
  return rows.map(({ name }) => name);
}

export interface ActiveDevice {
  id: string;
  account: string;
  udid: string;
  software: string | null;
}

export async function activeDevices(domain: RunningDomain, accounts: readonly string[]): Promise<ActiveDevice[]> {
  return await domain.sql<ActiveDevice[]>`
    select d.id, a.name as account, d.udid, d.software_version as software
      from device d join account a on a.id = d.account_id
     where d.state = 'active' and a.name = any(${accounts as string[]}) order by a.name, d.id`;
}

/** Queues a command by REST. @returns its UUID in lower case, as in summaries of journals. */
export async function queue(
  domain: RunningDomain,
  deviceId: string,
  requestType: 'ProfileList' | 'DeviceInformation' = 'ProfileList',
): Promise<string> {
  const request = { params: { id: deviceId }, body: { requestType } };
  const { commandUuid } = await domain.api.call(deviceCommandOperations.queue, request);
  return commandUuid.toLowerCase();
}

/** Runs `bramble … --json`. @throws AssertionError with its output unless it exits with 0. */
export async function commandJson<Answer>(domain: RunningDomain, ...args: string[]): Promise<Answer> {
  const { code, stdout, stderr } = await domain.command(...args, '--json');
  assert.equal(code, 0, `bramble ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as Answer;
}
