/** Changes of hosts, and their invitations: from an administrator's to the answer that the host takes. */
import type { Queryable, Transaction } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';

/** False when one of this name has joined already. */
export async function insertHost(
  tx: Transaction,
  host: { name: string; publicKey: Buffer; administers: boolean },
): Promise<boolean> {
  const { count } = await tx`
    insert into host (name, public_key, administers)
    values (${host.name}, ${host.publicKey}, ${host.administers}) on conflict do nothing`;
  return count === 1;
}

/** False where no such host has joined. */
export async function setDraining(tx: Transaction, name: string, draining: boolean): Promise<boolean> {
  const { count } = await tx`
    update host set draining_since = case when ${draining} then coalesce(draining_since, now()) end where name = ${name}`;
  return count === 1;
}

/** Also of one that is only invited. False when there was neither. */
export async function removeHost(tx: Transaction, name: string): Promise<boolean> {
  const invited = await tx`delete from host_invitation where host = ${name}`;
  const joined = await tx`delete from host where name = ${name}`;
  return invited.count + joined.count > 0;
}

/** Of a domain that was restored: all join again. @returns their names */
export async function forgetHosts(tx: Transaction): Promise<string[]> {
  if (!(await hasTable(tx, 'host'))) return [];
  await tx`delete from host_invitation`;
  const gone = await tx<{ name: string }[]>`delete from host returning name`;
  return gone.map(({ name }) => name).sort();
}

interface NewInvitation {
  id: string;
  host: string;
  secrets: { ciphertext: Buffer; keyId: string };
  databaseUrl: string;
  administers: boolean;
  invitedBy: string;
  validHours: number;
}

/** In place of an earlier one for this host. Returns when it expires. */
export async function insertInvitation(tx: Transaction, given: NewInvitation): Promise<Date> {
  await tx`delete from host_invitation where host = ${given.host}`;
  const [row] = await tx<{ expiresAt: Date }[]>`
    insert into host_invitation (id, host, secrets, key_id, database_url, administers, invited_by, expires_at)
    values (${given.id}, ${given.host}, ${given.secrets.ciphertext}, ${given.secrets.keyId}, ${given.databaseUrl},
            ${given.administers}, ${given.invitedBy}, now() + make_interval(hours => ${given.validHours}))
    returning expires_at as "expiresAt"`;
  if (row === undefined) throw new TypeError('an insert without a conflict returned no row');
  return row.expiresAt;
}

interface OpenInvitation {
  host: string;
  invitedBy: string;
  expiresAt: Date;
  answered: boolean;
}

export async function listInvitations(q: Queryable): Promise<OpenInvitation[]> {
  return await q<OpenInvitation[]>`
    select host, invited_by as "invitedBy", expires_at as "expiresAt", answered_at is not null as answered
      from host_invitation where expires_at > now() order by host`;
}

/** Hosts that may still join by an invitation from before that time. */
export async function openInvitationsBefore(q: Queryable, time: Date): Promise<string[]> {
  const rows = await q<{ host: string }[]>`
    select host from host_invitation
     where expires_at > now() and answered_at is null and invited_at < ${time} order by host`;
  return rows.map(({ host }) => host);
}

export interface OpenRequest {
  id: string;
  host: string;
  secrets: Buffer;
  keyId: string;
  databaseUrl: string;
  administers: boolean;
  request: string;
  proof: string;
}

/** Whether there is anything for {@link takeRequests} or {@link clearInvitations}, without a transaction. */
export async function hasInvitationWork(q: Queryable): Promise<boolean> {
  const rows = await q`
    select 1 from host_invitation
     where (answered_at is null and request is not null) or expires_at <= now()
        or exists (select from supervisor s where s.host = host_invitation.host and s.seen_at > answered_at) limit 1`;
  return rows.length > 0;
}

/** Requests to answer, locked; a concurrent call skips them. */
export async function takeRequests(tx: Transaction, most: number): Promise<OpenRequest[]> {
  return await tx<OpenRequest[]>`
    select id, host, secrets, key_id as "keyId", database_url as "databaseUrl", administers, request, proof
      from host_invitation
     where answered_at is null and request is not null and proof is not null and expires_at > now()
     order by requested_at limit ${most} for update skip locked`;
}

export async function storeAnswer(tx: Transaction, id: string, answer: Buffer): Promise<void> {
  await tx`update host_invitation set answer = ${answer}, answered_at = now() where id = ${id}`;
}

/** A request that nobody invited: the invited host can still make its own. */
export async function dropRequest(tx: Transaction, id: string): Promise<void> {
  await tx`update host_invitation set request = null, proof = null, requested_at = null where id = ${id}`;
}

/** Those that expired, and those whose hosts are at work: their answers hold secrets. One that is locked is passed over. */
export async function clearInvitations(tx: Transaction): Promise<void> {
  await tx`
    delete from host_invitation
     where id in (
       select i.id from host_invitation i
        where i.expires_at <= now()
           or exists (select from supervisor s where s.host = i.host and s.seen_at > i.answered_at)
          for update skip locked)`;
}

/** An expired invitation counts no more, though its row may be held by the sessions that end with it. */
export async function isAnyInvited(q: Queryable): Promise<boolean> {
  return (await q`select 1 from host_invitation where expires_at > now() limit 1`).length > 0;
}

/** The sealed secrets of an invitation for another host that is still open. */
export async function openInvitationBeside(
  q: Queryable,
  host: string,
): Promise<{ id: string; secrets: Buffer; keyId: string } | undefined> {
  const [row] = await q<{ id: string; secrets: Buffer; keyId: string }[]>`
    select id, secrets, key_id as "keyId" from host_invitation
     where host <> ${host} and expires_at > now() limit 1`;
  return row;
}

/** As the role for joining: what a host may see of its invitation. */
export async function lookForAnswer(
  q: Queryable,
  id: string,
): Promise<{ request: string | null; answer: Buffer | null; expired: boolean } | undefined> {
  const [row] = await q<{ request: string | null; answer: Buffer | null; expired: boolean }[]>`
    select request, answer, expires_at <= now() as expired from host_invitation where id = ${id}`;
  return row;
}

/** As the role for joining. False when the invitation is gone, expired or answered. */
export async function postRequest(q: Queryable, id: string, request: string, proof: string): Promise<boolean> {
  const { count } = await q`
    update host_invitation set request = ${request}, proof = ${proof}, requested_at = now()
     where id = ${id} and answered_at is null and expires_at > now()`;
  return count === 1;
}
