/**
 * Connection services: each with its SRP identifier, and serving the devices of one or more instances. More than one
 * requires a feature, which the administration service checks before it writes.
 *
 * Invariant: only the relation is written. Beside release 1.0, whose column holds one instance, the database's triggers keep
 * both in step and refuse a second instance; see `sql/007-connection-service-instances.expand.sql`.
 */

import { plainNameOf } from '../base/account-name.ts';
import { BrambleError } from '../base/errors.ts';
import type { SrpIdentifier } from '../base/ids.ts';
import { newId } from '../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { violatedConstraint } from '../database/sql-state.ts';
import { allowedHostOf } from './allowed-hosts.ts';

export interface ConnectionService {
  readonly id: string;
  readonly name: string;
  readonly srpIdentifier: SrpIdentifier;
  /** Names of the instances whose devices it serves, in order. */
  readonly instances: readonly string[];
  /** `host:port` each; see `allowedHostOf`. */
  readonly allowedHosts: readonly string[];
  readonly createdAt: Date;
  readonly revision: number;
}

interface NewConnectionService {
  readonly name: string;
  /** Names of the instances whose devices it is to serve. */
  readonly instances: readonly string[];
  readonly allowedHosts?: readonly string[] | undefined;
}

interface UnknownInstance {
  readonly kind: 'unknown-instance';
  /** The first name without an active instance. */
  readonly instance: string;
}

/**
 * Creates a connection service with the next SRP identifier. Its credential is issued by `issueSrpCredential`.
 * @throws BrambleError ERR_FEATURE_LOCKED for several instances while the schema is not contracted.
 */
export async function createConnectionService(
  tx: Transaction,
  service: NewConnectionService,
): Promise<{ kind: 'created'; service: ConnectionService } | { kind: 'name-taken' } | UnknownInstance> {
  const name = plainNameOf('a connection service', service.name);
  const allowedHosts = (service.allowedHosts ?? []).map(allowedHostOf);
  const instances = await lockInstances(tx, service.instances);
  if (instances.kind === 'unknown-instance') return instances;
  const [row] = await tx<{ id: string }[]>`
    insert into connection_service (id, name, srp_identifier, allowed_hosts)
    values (${newId()}::uuid, ${name}, 'C' || lpad(nextval('srp_number')::text, 8, '0'), ${allowedHosts}::text[])
    on conflict (name) do nothing
    returning id`;
  if (row === undefined) return { kind: 'name-taken' };
  await serveInstances(tx, row.id, instances.ids);
  const created = await getConnectionService(tx, name);
  return created === undefined ? { kind: 'name-taken' } : { kind: 'created', service: created };
}

/** 0 before 1.5 has expanded the schema: the coordinator of an upgrade plans on that of 1.4. */
function shownRevision(q: Queryable): SqlFragment {
  return q`coalesce((to_jsonb(c)->>'revision')::float8, 0)`;
}

/** All connection services by name. */
export async function listConnectionServices(q: Queryable): Promise<ConnectionService[]> {
  return await q<ConnectionService[]>`
    select c.id, c.name, c.srp_identifier as "srpIdentifier", c.allowed_hosts as "allowedHosts", c.created_at as "createdAt", ${shownRevision(q)} as revision,
      array(select i.name from connection_service_instance r join instance i on i.id = r.instance_id
             where r.connection_service_id = c.id order by i.name) as instances
    from connection_service c
    order by c.name`;
}

/** By name or SRP identifier. */
export async function getConnectionService(
  q: Queryable,
  nameOrIdentifier: string,
): Promise<ConnectionService | undefined> {
  const [row] = await q<ConnectionService[]>`
    select c.id, c.name, c.srp_identifier as "srpIdentifier", c.allowed_hosts as "allowedHosts", c.created_at as "createdAt", ${shownRevision(q)} as revision,
      array(select i.name from connection_service_instance r join instance i on i.id = r.instance_id
             where r.connection_service_id = c.id order by i.name) as instances
    from connection_service c
    where c.name = ${nameOrIdentifier} or c.srp_identifier = ${nameOrIdentifier}
    order by (c.name = ${nameOrIdentifier}) desc
    limit 1`;
  return row;
}

/**
 * Changes what is given and leaves the rest.
 * @throws BrambleError ERR_FEATURE_LOCKED for several instances while the schema is not contracted.
 */
export async function updateConnectionService(
  tx: Transaction,
  name: string,
  change: { readonly instances?: readonly string[] | undefined; readonly allowedHosts?: readonly string[] | undefined },
): Promise<{ kind: 'updated'; service: ConnectionService } | { kind: 'not-found' } | UnknownInstance> {
  const instances = change.instances && (await lockInstances(tx, change.instances));
  if (instances?.kind === 'unknown-instance') return instances;
  const allowedHosts = change.allowedHosts?.map(allowedHostOf) ?? null;
  // Relies on connection_service_name_key; its row's lock orders changes of the same service.
  const [row] = await tx<{ id: string }[]>`
    update connection_service set allowed_hosts = coalesce(${allowedHosts}::text[], allowed_hosts)
    where name = ${name}
    returning id`;
  if (row === undefined) return { kind: 'not-found' };
  if (instances !== undefined) await serveInstances(tx, row.id, instances.ids);
  const service = await getConnectionService(tx, name);
  return service === undefined ? { kind: 'not-found' } : { kind: 'updated', service };
}

/** The ids of the named instances, which cannot be retired until the transaction ends. */
async function lockInstances(
  tx: Transaction,
  names: readonly string[],
): Promise<{ kind: 'locked'; ids: string[] } | UnknownInstance> {
  const rows = await tx<{ id: string; name: string }[]>`
    select id, name from instance where name = any(${names as string[]}) and retired_at is null order by id for share`;
  const missing = names.find((name) => !rows.some((row) => row.name === name));
  if (missing !== undefined) return { kind: 'unknown-instance', instance: missing };
  return { kind: 'locked', ids: rows.map((row) => row.id) };
}

/** Removes first and adds afterwards: in between there are never more than the schema allows. */
async function serveInstances(tx: Transaction, serviceId: string, instanceIds: readonly string[]): Promise<void> {
  try {
    await tx`
      delete from connection_service_instance
      where connection_service_id = ${serviceId} and instance_id <> all(${instanceIds as string[]}::uuid[])`;
    await tx`
      insert into connection_service_instance (connection_service_id, instance_id)
      select ${serviceId}, i from unnest(${instanceIds as string[]}::uuid[]) i
      on conflict do nothing`;
  } catch (cause) {
    if (violatedConstraint(cause) !== 'connection_service_serves_one_instance') throw cause;
    throw new BrambleError(
      'ERR_FEATURE_LOCKED',
      'A connection service can serve only one instance until the upgrade is finalized and the schema contracted. ' +
        'Name one instance, or finalize the upgrade first.',
      { cause, details: { feature: 'connection-service-sharing', lockedBy: ['upgrade'] } },
    );
  }
}

/** Removes the instance from its connection services, and deletes the named ones if they serve no other. */
export async function removeServicesOf(tx: Transaction, instanceId: string, names: readonly string[]): Promise<void> {
  await tx`delete from connection_service_instance where instance_id = ${instanceId}`;
  await tx`
    delete from connection_service c
     where c.name = any(${names as string[]})
       and not exists (select 1 from connection_service_instance r where r.connection_service_id = c.id)`;
}

/** Connection services that serve this instance alone, by name. */
export async function servicesAloneOf(
  q: Queryable,
  instanceId: string,
): Promise<{ name: string; srpIdentifier: string }[]> {
  return await q<{ name: string; srpIdentifier: string }[]>`
    select c.name, c.srp_identifier as "srpIdentifier"
      from connection_service c join connection_service_instance r on r.connection_service_id = c.id
     where r.instance_id = ${instanceId}
       and not exists (select 1 from connection_service_instance other
                        where other.connection_service_id = c.id and other.instance_id <> r.instance_id)
     order by c.name`;
}
