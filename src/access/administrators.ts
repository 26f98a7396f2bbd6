/**
 * Administrators as stored. Invariant: who loses his password, his role or his place loses his sessions in the same
 * transaction, and one active, unlimited administrator of the role `security` always remains once there was one.
 */
import { BrambleError } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { assertStillAllowed } from './audited-request.ts';
import { assertNameFree } from './names.ts';
import { removeRecoveryCodes } from './sign-in/recovery-codes.ts';
import { asksFactor, hasFactor } from './sign-in/second-factor-rule.ts';
import { endSessionsOf, isOpen } from './sign-in/sessions.ts';
import { removeTotp } from './sign-in/totp.ts';

interface NewAdministrator {
  name: string;
  displayName: string;
  role: string;
  /** Ids of the groups that he is limited to; null if he is not. */
  groups: readonly string[] | null;
  createdBy: string;
}

/** His id. @throws BrambleError ERR_NAME_TAKEN by somebody who is no administrator */
export async function insertAdministrator(q: Queryable, made: NewAdministrator): Promise<string | 'name-taken'> {
  await assertNameFree(q, 'administrator', made.name);
  const id = newId<string>();
  const { count } = await q`
    insert into administrator (id, name, display_name, role, scoped, created_by)
    values (${id}, ${made.name}, ${made.displayName}, ${made.role}, ${made.groups !== null}, ${made.createdBy})
    on conflict do nothing`;
  if (count === 0) return 'name-taken';
  await insertGroups(q, id, made.groups ?? []);
  return id;
}

async function insertGroups(q: Queryable, id: string, groups: readonly string[]): Promise<void> {
  if (groups.length === 0) return;
  await q`
    insert into administrator_group (administrator_id, group_id)
    select ${id}, g from unnest(${[...groups]}::uuid[]) g on conflict do nothing`;
}

/**
 * Ends every session but the one that asks for it, and forgets the browsers that were known, but for the one that asks.
 * @param keep the session, and the digest of the browser if it was known
 */
export async function setPassword(
  tx: Transaction,
  id: string,
  password: string,
  keep: { session: string | null; browser: Buffer | null } = { session: null, browser: null },
): Promise<void> {
  await tx`update administrator set password = ${password}, password_at = now() where id = ${id}`;
  await endSessionsOf(tx, id, keep.session);
  await tx`
    delete from administrator_browser where administrator_id = ${id} and digest is distinct from ${keep.browser}::bytea`;
}

interface ListedAdministrator {
  name: string;
  displayName: string;
  role: string;
  groups: string[] | null;
  state: 'active' | 'disabled';
  hasPassword: boolean;
  asksTotp: boolean;
  provider: string | null;
  passkeys: number;
  lacksFactor: boolean;
  sessions: number;
  createdAt: Date;
  createdBy: string;
}

/** By name. @param name of one; null for all */
export async function listAdministrators(q: Queryable, name: string | null = null): Promise<ListedAdministrator[]> {
  return await q<ListedAdministrator[]>`
    select a.name, a.display_name as "displayName", a.role,
           case when a.scoped then array(
             select g.name from administrator_group m join account_group g on g.id = m.group_id
              where m.administrator_id = a.id order by g.name) end as groups,
           a.state, a.password is not null as "hasPassword", a.totp_at is not null as "asksTotp",
           (select i.provider from administrator_identity i where i.administrator_id = a.id) as provider,
           (select count(*)::int from administrator_passkey p where p.administrator_id = a.id) as passkeys,
           ${asksFactor(q)} and not ${hasFactor(q)} as "lacksFactor",
           (select count(*)::int from administrator_session s
             where s.administrator_id = a.id and ${isOpen(q)}) as sessions,
           a.created_at as "createdAt", a.created_by as "createdBy"
      from administrator a ${name === null ? q`` : q`where lower(a.name) = lower(${name})`}
     order by lower(a.name)`;
}

/**
 * Holds off whoever takes something from him, until what he changes of his own access is committed.
 * @throws BrambleError ERR_SESSION_ENDED where that was done before
 */
export async function holdOwnAccess(tx: Transaction, id: string): Promise<void> {
  await tx`select from administrator where id = ${id} for no key update`;
  await assertStillAllowed(tx);
}

export async function findAdministrator(q: Queryable, name: string): Promise<{ id: string } | undefined> {
  const [row] = await q<{ id: string }[]>`select id from administrator where lower(name) = lower(${name})`;
  return row;
}

/** The row is locked until the transaction ends. */
export async function lockAdministrator(
  tx: Transaction,
  name: string,
): Promise<{ id: string; name: string; role: string } | undefined> {
  const [row] = await tx<{ id: string; name: string; role: string }[]>`
    select id, name, role from administrator where lower(name) = lower(${name}) for update`;
  return row;
}

/** Waits for everybody else who takes a security administrator away: of two who take the last two, one is refused. */
async function lockSecurity(tx: Transaction): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    select id from administrator where role = 'security' and not scoped and state = 'active' order by id for update`;
  return rows.map(({ id }) => id);
}

/** @throws BrambleError ERR_CONFLICT if he is the last who may let others in */
async function assertNotLast(tx: Transaction, id: string): Promise<void> {
  const security = await lockSecurity(tx);
  if (security.length > 1 || security[0] !== id) return;
  throw new BrambleError(
    'ERR_CONFLICT',
    'This is the last active administrator of the role security: give another one that role first.',
  );
}

interface AdministratorChange {
  displayName?: string | undefined;
  role?: string | undefined;
  /** Ids; null for all. */
  groups?: readonly string[] | null | undefined;
}

/** @throws BrambleError ERR_CONFLICT for the last of the role security */
export async function changeAdministrator(tx: Transaction, id: string, change: AdministratorChange): Promise<void> {
  const { displayName, role, groups } = change;
  if ((role !== undefined && role !== 'security') || groups != null) await assertNotLast(tx, id);
  await tx`
    update administrator set revision = revision + 1,
           display_name = coalesce(${displayName ?? null}::text, display_name),
           role = coalesce(${role ?? null}::text, role),
           scoped = coalesce(${groups === undefined ? null : groups !== null}::boolean, scoped)
     where id = ${id}`;
  if (groups !== undefined) {
    await tx`delete from administrator_group where administrator_id = ${id}`;
    await insertGroups(tx, id, groups ?? []);
  }
  if (role !== undefined || groups !== undefined) await endSessionsOf(tx, id);
}

/** @throws BrambleError ERR_CONFLICT for the last of the role security */
export async function disableAdministrator(tx: Transaction, id: string): Promise<void> {
  await assertNotLast(tx, id);
  await tx`
    update administrator set state = 'disabled', disabled_at = now(), revision = revision + 1
     where id = ${id} and state = 'active'`;
  await endSessionsOf(tx, id);
}

export async function enableAdministrator(tx: Transaction, id: string): Promise<void> {
  await tx`
    update administrator set state = 'active', disabled_at = null, revision = revision + 1
     where id = ${id} and state = 'disabled'`;
}

/** @throws BrambleError ERR_CONFLICT for the last of the role security */
export async function removeAdministrator(tx: Transaction, id: string): Promise<void> {
  await assertNotLast(tx, id);
  await tx`delete from administrator where id = ${id}`;
}

/** What an administrator signs in with. */
type Factor = 'password' | 'totp' | 'passkeys';

/** Takes it away from him, and ends his sessions. What he has besides is asked as before. */
export async function removeFactor(tx: Transaction, id: string, factor: Factor): Promise<void> {
  await removals[factor](tx, id);
  await tx`delete from administrator_browser where administrator_id = ${id}`;
  await endSessionsOf(tx, id);
}

const removals: Readonly<Record<Factor, (tx: Transaction, id: string) => Promise<void>>> = {
  password: async (tx, id) => {
    await tx`
      update administrator set password = null, password_at = null, revision = revision + 1 where id = ${id}`;
    await tx`
      delete from sign_in_code where administrator_id = ${id} and purpose = 'invitation' and used_at is null`;
  },
  totp: async (tx, id) => {
    await removeTotp(tx, id);
    await removeRecoveryCodes(tx, id);
  },
  passkeys: async (tx, id) => void (await tx`delete from administrator_passkey where administrator_id = ${id}`),
};

export async function resetAdministrator(tx: Transaction, id: string): Promise<void> {
  for (const factor of ['password', 'totp', 'passkeys'] as const) await removeFactor(tx, id, factor);
}
