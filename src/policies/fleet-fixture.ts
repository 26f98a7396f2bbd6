/** Rows that the tests of this folder work on: instances, accounts and active devices, straight into the tables. */
import { randomBytes, randomUUID } from 'node:crypto';
import { type InstanceId, newId } from '../base/ids.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { seedPolicies } from './preconfigured-policies.ts';

export interface TestInstance {
  readonly id: InstanceId;
  readonly name: string;
  readonly srpIdentifier: string;
}

export interface TestDevice {
  readonly id: string;
  readonly accountId: string;
  readonly token: string;
}

export const domain = {
  domainId: '2c1c1f63-9f0c-4b70-9a5e-6f4f3f1f2a11',
  name: 'Test',
  publicUrl: 'https://mdm.example.com:8443',
  tunnelHost: 'tunnel.example.com',
  wakeChannel: 'com.apple.mgmt.test',
} as const;

/** A migrated database with the preconfigured policies; close the pool before the database is dropped. */
export async function openFleet(): Promise<{ db: Database; close(): Promise<void> }> {
  const { url, drop } = await createTestDatabase();
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 8 });
  await seedPolicies(db);
  return {
    db,
    async close() {
      await db.end({ timeout: 5 });
      await drop();
    },
  };
}

export async function addInstance(db: Database, number: number): Promise<TestInstance> {
  const instance = { id: newId<InstanceId>(), name: `server-${number}`, srpIdentifier: `S1000000${number}` };
  await db`insert into instance (id, name, srp_identifier) values (${instance.id}, ${instance.name}, ${instance.srpIdentifier})`;
  return instance;
}

export async function addAccount(db: Database, instanceId: string, name: string = randomUUID()): Promise<string> {
  const id = randomUUID();
  await db`insert into account (id, name, display_name, instance_id) values (${id}, ${name}, ${name}, ${instanceId})`;
  return id;
}

interface NewTestDevice {
  readonly platform?: 'apple' | 'agent';
  readonly product?: string;
  readonly osVersion?: string;
  readonly softwareVersion?: string;
  readonly state?: string;
}

export async function addDevice(db: Database, accountId: string, device: NewTestDevice = {}): Promise<TestDevice> {
  const id = randomUUID();
  const token = randomBytes(32).toString('base64url');
  await db`
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, product, os_version,
                        software_version, topic, push_token, push_magic)
    values (${id}, ${accountId}, ${token}, ${device.platform ?? 'apple'}, ${device.state ?? 'active'}, 'secret',
            ${randomBytes(32).toString('hex')}, ${device.product ?? 'iPhone15,2'}, ${device.osVersion ?? '18.0'},
            ${device.softwareVersion ?? null}, ${domain.wakeChannel}, ${randomBytes(32)}, ${`magic-${id}`})`;
  return { id, accountId, token };
}

/** Accounts with one device each. */
export async function addDevices(db: Database, instanceId: string, count: number): Promise<TestDevice[]> {
  const accounts = await Promise.all(Array.from({ length: count }, () => addAccount(db, instanceId)));
  return await Promise.all(accounts.map((accountId) => addDevice(db, accountId)));
}
