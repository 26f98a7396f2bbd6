/** For tests: a domain with two instances, accounts and active devices, written straight into a test database. */
import { type AccountId, type CommandId, type DeviceId, type InstanceId, newId } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';

interface DomainFixture {
  here: InstanceId;
  there: InstanceId;
}

export async function seedDomain(db: Database, release = '1.0.0'): Promise<DomainFixture> {
  const [here, there] = [newId<InstanceId>(), newId<InstanceId>()];
  await seedDomainRow(db, release);
  await db`
    insert into instance (id, name, srp_identifier)
    values (${here}, 'here', 'S10000001'), (${there}, 'there', 'S10000002')`;
  return { here, there };
}

export async function seedDomainRow(db: Database, release: string): Promise<void> {
  await db`
    insert into domain (domain_id, name, public_url, tunnel_host, push_topic, release, schema_version, feature_level)
    values (gen_random_uuid(), 'test', 'https://127.0.0.1:1', 'tunnel.test', 'com.apple.mgmt.test', ${release}, 6, ${release})`;
}

export interface DeviceFixture {
  accountId: AccountId;
  deviceId: DeviceId;
  token: string;
  fingerprint: string;
  /** Its UDID. */
  enrolment: string;
}

export async function seedDevice(db: Database, instanceId: InstanceId, name: string): Promise<DeviceFixture> {
  const [accountId, deviceId] = [newId<AccountId>(), newId<DeviceId>()];
  const [fingerprint, enrolment] = [`print-${name}`, `udid-${name}`];
  await db`
    insert into account (id, name, display_name, instance_id) values (${accountId}, ${name}, ${name}, ${instanceId})`;
  await db`insert into account_epoch (account_id, epoch, instance_id) values (${accountId}, 1, ${instanceId})`;
  await db`
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, udid, os_version)
    values (${deviceId}, ${accountId}, ${`token-${name}`}, 'apple', 'active', 'c', ${fingerprint}, ${enrolment}, '18.1')`;
  return { accountId, deviceId, token: `token-${name}`, fingerprint, enrolment };
}

export async function seedCommand(
  db: Database,
  device: DeviceFixture,
  command: { budgeted?: boolean; urgent?: boolean; item?: 'it-policy' | 'service-books' | 'synchronization' } = {},
): Promise<{ commandId: CommandId; deliveryId: string | null }> {
  const commandId = newId<CommandId>();
  const deliveryId = command.item ? newId<string>() : null;
  if (command.item) {
    await db`
      insert into delivery (id, account_id, device_id, item, cause, budgeted, state, revision)
      values (${deliveryId}, ${device.accountId}, ${device.deviceId}, ${command.item}, 'move',
              ${command.budgeted ?? false}, 'released', 'rev-1')`;
  }
  await db`
    insert into command (id, device_id, account_id, delivery_id, budgeted, urgent, request_type, body)
    values (${commandId}, ${device.deviceId}, ${device.accountId}, ${deliveryId}, ${command.budgeted ?? false},
            ${command.urgent ?? false}, 'InstallProfile', ${Buffer.from(`body ${commandId}`)})`;
  return { commandId, deliveryId };
}

export async function seedPermits(db: Database, scope: string, count: number): Promise<void> {
  await db`insert into delivery_permit (scope, number) select ${scope}, n from generate_series(1, ${count}) n`;
}
