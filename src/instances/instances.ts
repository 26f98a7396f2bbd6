/** Server instances. Each has one permanent SRP identifier; a retired instance has no accounts and gets no new ones. */

import { plainNameOf } from '../base/account-name.ts';
import type { InstanceId, SrpIdentifier } from '../base/ids.ts';
import { newId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';

export interface Instance {
  readonly id: InstanceId;
  readonly name: string;
  readonly srpIdentifier: SrpIdentifier;
  readonly accountCount: number;
  /** Devices that are managed or enrolling. */
  readonly deviceCount: number;
  readonly createdAt: Date;
  readonly retiredAt: Date | null;
}

/** Creates an instance with the next SRP identifier. Its credential is issued by `issueSrpCredential`. */
export async function createInstance(
  tx: Transaction,
  instance: { readonly name: string },
): Promise<{ kind: 'created'; id: InstanceId; name: string; srpIdentifier: SrpIdentifier } | { kind: 'name-taken' }> {
  const name = plainNameOf('an instance', instance.name);
  const [row] = await tx<{ id: InstanceId; name: string; srpIdentifier: SrpIdentifier }[]>`
    insert into instance (id, name, srp_identifier)
    values (${newId()}, ${name}, 'S' || lpad(nextval('srp_number')::text, 8, '0'))
    on conflict (name) do nothing
    returning id, name, srp_identifier as "srpIdentifier"`;
  return row === undefined ? { kind: 'name-taken' } : { kind: 'created', ...row };
}

/**
 * All instances by name with their counts. One pass over accounts and devices: row by row, by device_account, it is ten times as
 * long, since rows of devices lie apart.
 */
export async function listInstances(q: Queryable): Promise<Instance[]> {
  return await q<Instance[]>`
    with devices as materialized (
      select d.account_id, count(*) as devices from device d where d.state <> 'gone' group by 1
    ), counted as materialized (
      select a.instance_id, count(*)::int as accounts, coalesce(sum(d.devices), 0)::int as devices
        from account a left join devices d on d.account_id = a.id group by 1
    )
    select i.id, i.name, i.srp_identifier as "srpIdentifier", i.created_at as "createdAt", i.retired_at as "retiredAt",
           coalesce(c.accounts, 0) as "accountCount", coalesce(c.devices, 0) as "deviceCount"
      from instance i left join counted c on c.instance_id = i.id
     order by i.name`;
}

/** Those that are not retired, by name, without their counts. */
export async function listInstanceNames(q: Queryable): Promise<Pick<Instance, 'id' | 'name' | 'srpIdentifier'>[]> {
  return await q<Instance[]>`
    select id, name, srp_identifier as "srpIdentifier" from instance where retired_at is null order by name`;
}

/** Ids of those that are not retired. */
export async function standingInstances(q: Queryable): Promise<string[]> {
  const rows = await q<{ id: string }[]>`select id from instance where retired_at is null order by id`;
  return rows.map(({ id }) => id);
}

/** By name or SRP identifier. */
export async function findInstance(
  q: Queryable,
  nameOrIdentifier: string,
): Promise<{ id: InstanceId; name: string; srpIdentifier: SrpIdentifier; retiredAt: Date | null } | undefined> {
  const [row] = await q<{ id: InstanceId; name: string; srpIdentifier: SrpIdentifier; retiredAt: Date | null }[]>`
    select id, name, srp_identifier as "srpIdentifier", retired_at as "retiredAt"
    from instance
    where name = ${nameOrIdentifier} or srp_identifier = ${nameOrIdentifier}
    order by (name = ${nameOrIdentifier}) desc
    limit 1`;
  return row;
}

/**
 * Retires an instance without accounts. The row is locked first and the accounts counted in the next statement: an account
 * that is being created holds the row FOR SHARE until it can be seen.
 */
export async function retireInstance(
  tx: Transaction,
  name: string,
): Promise<{ kind: 'retired' } | { kind: 'not-found' } | { kind: 'has-accounts'; accountCount: number }> {
  const [instance] = await tx<{ id: string }[]>`select id from instance where name = ${name} for update`;
  if (instance === undefined) return { kind: 'not-found' };
  const [used] = await tx<{ accountCount: number }[]>`
    select count(*)::int as "accountCount" from account where instance_id = ${instance.id}`;
  if (used !== undefined && used.accountCount > 0) return { kind: 'has-accounts', accountCount: used.accountCount };
  await tx`update instance set retired_at = coalesce(retired_at, now()) where id = ${instance.id}`;
  return { kind: 'retired' };
}
