/**
 * Roles by name: the predefined ones, and those of the domain's own. Invariant: nobody gives what he does not have, nor takes it
 * from others, and a role that is not there gives nothing.
 */
import { allRights, canBeLimited, isPredefinedRole, type Right, rightsOf } from '../api/rights.ts';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import { notFound } from '../base/not-found.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import type { Actor } from './actor.ts';

interface CustomRole {
  name: string;
  rights: Right[];
  createdAt: Date;
}

interface RoleRow {
  name: string;
  rights: string[];
  createdAt: Date;
}

const columns = (q: Queryable) => q`name, rights, created_at as "createdAt"`;
const known = (row: RoleRow): CustomRole => ({ ...row, rights: knownRights(row.rights) });

/** By name. */
export async function listCustomRoles(q: Queryable): Promise<CustomRole[]> {
  return (await q<RoleRow[]>`select ${columns(q)} from custom_role order by name`).map(known);
}

/**
 * @param custom what `custom_role` says of it; null if it says nothing
 * @param limited whether who has the role is limited to groups: there he lacks rights that know no groups
 */
export function rightsOfRole(name: string, custom: readonly string[] | null, limited: boolean): ReadonlySet<Right> {
  const rights = isPredefinedRole(name) ? rightsOf(name) : knownRights(custom ?? []);
  return new Set(limited ? rights.filter(canBeLimited) : rights);
}

function knownRights(names: readonly string[]): Right[] {
  return allRights.filter((right) => names.includes(right));
}

/**
 * For one who is about to get the role, or to lose by it, which is not changed or removed meanwhile.
 * @param changing whether it is by who holds it
 * @throws BrambleError ERR_NOT_FOUND
 */
export async function holdRole(tx: Transaction, name: string, changing = false): Promise<readonly Right[]> {
  if (isPredefinedRole(name)) return rightsOf(name);
  const [row] = await tx<{ rights: string[] }[]>`
    select rights from custom_role where name = ${name} ${changing ? tx`for update` : tx`for share`}`;
  if (row === undefined) throw notFound('role', name);
  return knownRights(row.rights);
}

/** For who gives these rights to others, or takes something from who has them. @throws BrambleError ERR_RIGHT_MISSING */
export function assertMayGive(actor: Actor, rights: readonly Right[]): void {
  const missing = rights.filter((right) => !actor.rights.has(right));
  if (missing.length === 0) return;
  throw new BrambleError(
    'ERR_RIGHT_MISSING',
    `This gives or takes rights that ${actor.name} does not have: ${missing.join(', ')}.`,
    { details: { rights: missing } },
  );
}

export async function createRole(
  tx: Transaction,
  role: { name: string; rights: readonly Right[] },
): Promise<CustomRole> {
  const { name, rights } = role;
  const [row] = isPredefinedRole(name)
    ? []
    : await tx<RoleRow[]>`
        insert into custom_role (name, rights) values (${name}, ${[...rights]})
        on conflict (name) do nothing returning ${columns(tx)}`;
  if (row === undefined) throw new BrambleError('ERR_NAME_TAKEN', `A role named ${name} exists. Choose another name.`);
  return known(row);
}

/** Who has the role has the new rights from his next request on. */
export async function changeRole(tx: Transaction, name: string, rights: readonly Right[]): Promise<CustomRole> {
  assertNotPredefined(name);
  const [row] = await tx<RoleRow[]>`
    update custom_role set rights = ${[...rights]}, revision = revision + 1 where name = ${name}
    returning ${columns(tx)}`;
  if (row === undefined) throw notFound('role', name);
  return known(row);
}

/**
 * What somebody may do by a role that may be gone, and then gives nothing: for who takes something from him.
 * @throws BrambleError ERR_RIGHT_MISSING
 */
export async function assertNotAboveRole(tx: Transaction, actor: Actor, role: string): Promise<void> {
  const rights = await holdRole(tx, role).catch((error: unknown) => {
    if (isBrambleError(error, 'ERR_NOT_FOUND')) return [];
    throw error;
  });
  assertMayGive(actor, rights);
}

/** @throws BrambleError ERR_CONFLICT while a token or an administrator has the role */
export async function removeRole(tx: Transaction, name: string): Promise<void> {
  assertNotPredefined(name);
  const { count } = await tx`delete from custom_role where name = ${name}`;
  if (count === 0) throw notFound('role', name);
  const holders = await tx<{ name: string }[]>`
    select name from api_token
     where role = ${name} and revoked_at is null and (expires_at is null or expires_at > now())
     union select name from administrator where role = ${name}
     union select name from openid_provider where rules @> ${tx.json([{ role: name }])} order by name limit 5`;
  if (holders.length === 0) return;
  const names = holders.map((holder) => holder.name);
  throw new BrambleError('ERR_CONFLICT', `The role ${name} is in use: by ${names.join(', ')}.`, { details: { names } });
}

function assertNotPredefined(name: string): void {
  if (!isPredefinedRole(name)) return;
  throw new BrambleError('ERR_CONFLICT', `${name} is a predefined role, which stays as it is. Make one of your own.`);
}
