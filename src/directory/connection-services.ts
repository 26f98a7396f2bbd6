/**
 * Connection services: each with an SRP identifier of its own, and belonging to exactly one instance, or to none yet.
 */
import type { InstanceId, SrpIdentifier } from '../base/ids.ts';
import { newId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { plainNameOf } from './account-name.ts';
import { allowedHostOf } from './allowed-host.ts';

export interface ConnectionService {
  readonly id: string;
  readonly name: string;
  readonly srpIdentifier: SrpIdentifier;
  readonly instanceId: InstanceId | null;
  /** Name of the instance. */
  readonly instance: string | null;
  /** `host:port` each; see `allowedHostOf`. */
  readonly allowedHosts: readonly string[];
  readonly createdAt: Date;
}

export interface NewConnectionService {
  readonly name: string;
  /** Name of the instance that it belongs to. */
  readonly instance: string;
  readonly allowedHosts?: readonly string[] | undefined;
}

/** Creates a connection service with the next SRP identifier. Its credential is issued by `issueSrpCredential`. */
export async function createConnectionService(
  tx: Transaction,
  service: NewConnectionService,
): Promise<{ kind: 'created'; service: ConnectionService } | { kind: 'name-taken' } | { kind: 'unknown-instance' }> {
  const name = plainNameOf('a connection service', service.name);
  const allowedHosts = (service.allowedHosts ?? []).map(allowedHostOf);
  const [row] = await tx<{ instanceFound: boolean; created: boolean }[]>`
    with chosen as (
      select id from instance where name = ${service.instance} and retired_at is null for share
    ), created as (
      insert into connection_service (id, name, srp_identifier, instance_id, allowed_hosts)
      select ${newId()}::uuid, ${name}, 'C' || lpad(nextval('srp_number')::text, 8, '0'), chosen.id, ${allowedHosts}::text[]
      from chosen
      on conflict (name) do nothing
      returning id
    )
    select exists (select from chosen) as "instanceFound", exists (select from created) as created`;
  if (row?.instanceFound !== true) return { kind: 'unknown-instance' };
  const created = row.created ? await getConnectionService(tx, name) : undefined;
  return created === undefined ? { kind: 'name-taken' } : { kind: 'created', service: created };
}

/** All connection services by name. */
export async function listConnectionServices(q: Queryable): Promise<ConnectionService[]> {
  return await q<ConnectionService[]>`
    select c.id, c.name, c.srp_identifier as "srpIdentifier", c.instance_id as "instanceId", i.name as instance,
      c.allowed_hosts as "allowedHosts", c.created_at as "createdAt"
    from connection_service c left join instance i on i.id = c.instance_id
    order by c.name`;
}

/** By name or SRP identifier. */
export async function getConnectionService(
  q: Queryable,
  nameOrIdentifier: string,
): Promise<ConnectionService | undefined> {
  const [row] = await q<ConnectionService[]>`
    select c.id, c.name, c.srp_identifier as "srpIdentifier", c.instance_id as "instanceId", i.name as instance,
      c.allowed_hosts as "allowedHosts", c.created_at as "createdAt"
    from connection_service c left join instance i on i.id = c.instance_id
    where c.name = ${nameOrIdentifier} or c.srp_identifier = ${nameOrIdentifier}
    order by (c.name = ${nameOrIdentifier}) desc
    limit 1`;
  return row;
}

/** Changes what is given and leaves the rest. */
export async function updateConnectionService(
  tx: Transaction,
  name: string,
  change: { readonly instance?: string | undefined; readonly allowedHosts?: readonly string[] | undefined },
): Promise<{ kind: 'updated'; service: ConnectionService } | { kind: 'not-found' } | { kind: 'unknown-instance' }> {
  const instance = change.instance ?? null;
  const allowedHosts = change.allowedHosts?.map(allowedHostOf) ?? null;
  const [row] = await tx<{ instanceFound: boolean; updated: boolean }[]>`
    with chosen as (
      select id from instance where name = ${instance}::text and retired_at is null for share
    ), updated as (
      update connection_service c
      set instance_id = coalesce((select id from chosen), c.instance_id),
        allowed_hosts = coalesce(${allowedHosts}::text[], c.allowed_hosts)
      where c.name = ${name} and (${instance}::text is null or exists (select from chosen))
      returning c.id
    )
    select exists (select from chosen) as "instanceFound", exists (select from updated) as updated`;
  if (row?.updated === true) {
    const service = await getConnectionService(tx, name);
    return service === undefined ? { kind: 'not-found' } : { kind: 'updated', service };
  }
  return { kind: instance !== null && row?.instanceFound !== true ? 'unknown-instance' : 'not-found' };
}
