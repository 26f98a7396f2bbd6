/**
 * Administrators who sign in at an OpenID provider. Invariant: such an administrator was made by his first sign-in there, has no other
 * way in, and is at each sign-in what the rules make of him then: nobody who was there before is taken for him, whatever his name.
 */
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { recordEvent } from '../../domain/events.ts';
import { changeAdministrator, insertAdministrator, listAdministrators } from '../administrators.ts';
import { holdRole } from '../roles.ts';

interface Identity {
  provider: string;
  subject: string;
}

interface Found {
  id: string;
  name: string;
  role: string;
  displayName: string;
  /** Ids; null if he is not limited. */
  groups: string[] | null;
  active: boolean;
}

export async function findIdentity(q: Queryable, { provider, subject }: Identity): Promise<Found | undefined> {
  const [row] = await q<Found[]>`
    select a.id, a.name, a.role, a.display_name as "displayName", a.state = 'active' as active,
           case when a.scoped then array(
             select g.group_id::text from administrator_group g where g.administrator_id = a.id) end as groups
      from administrator_identity i join administrator a on a.id = i.administrator_id
     where i.provider = ${provider} and i.subject = ${subject}`;
  return row;
}

interface Person {
  name: string;
  displayName: string;
  role: string;
  /** Ids, of which some may be gone. */
  groups: readonly string[] | null;
}

/**
 * Makes or changes him so that he is what the rules say. Called with the provider's row locked.
 * @returns his id
 * @throws BrambleError ERR_OPENID_REFUSED
 */
export async function admit(tx: Transaction, identity: Identity, person: Person): Promise<string> {
  const { provider } = identity;
  const role = await roleOf(tx, person.role);
  const groups = person.groups === null ? null : await presentGroups(tx, person.groups);
  const { name, displayName } = person;
  const found = await findIdentity(tx, identity);
  if (found === undefined) {
    const createdBy = `OpenID provider ${provider}`;
    const id = await insertAdministrator(tx, { name, displayName, role, groups, createdBy }).catch((error: unknown) => {
      throw isBrambleError(error, 'ERR_NAME_TAKEN') ? refusal(error.message) : error;
    });
    if (id === 'name-taken') {
      throw refusal(`There is an administrator ${name} already, who does not sign in at ${provider}.`);
    }
    await tx`
      insert into administrator_identity (provider, subject, administrator_id)
      values (${provider}, ${identity.subject}, ${id})`;
    const message = `${name} signed in at ${provider} for the first time, and has the role ${role}`;
    await recordEvent(tx, { kind: 'administrator-added', subject: name, message });
    return id;
  }
  const [active] = await tx`select from administrator where id = ${found.id} and state = 'active' for update`;
  if (active === undefined) throw refusal(`The administrator ${found.name} is disabled.`);
  await follow(tx, found, { displayName, role, groups });
  return found.id;
}

/** Nothing is written where nothing is different: a sign-in is no change of the administrator. */
async function follow(tx: Transaction, found: Found, to: Omit<Person, 'name'>): Promise<void> {
  const isSame = found.role === to.role && sameGroups(found.groups, to.groups);
  if (isSame && found.displayName === to.displayName) return;
  try {
    await changeAdministrator(tx, found.id, isSame ? { displayName: to.displayName } : to);
  } catch (error) {
    if (isBrambleError(error, 'ERR_CONFLICT')) throw refusal(error.message);
    throw error;
  }
  if (isSame) return;
  const message = `The provider gave ${found.name} the role ${to.role}, instead of ${found.role}, or other groups`;
  await recordEvent(tx, { kind: 'administrator-changed', subject: found.name, message });
}

function sameGroups(one: readonly string[] | null, other: readonly string[] | null): boolean {
  return JSON.stringify(one?.toSorted() ?? null) === JSON.stringify(other?.toSorted() ?? null);
}

async function roleOf(tx: Transaction, name: string): Promise<string> {
  try {
    await holdRole(tx, name);
    return name;
  } catch (error) {
    if (isBrambleError(error, 'ERR_NOT_FOUND')) throw refusal(`The role ${name}, which a rule gives, is gone.`);
    throw error;
  }
}

async function presentGroups(tx: Transaction, ids: readonly string[]): Promise<string[]> {
  const rows = await tx<{ id: string }[]>`
    select id from account_group where id = any(${[...ids]}::uuid[]) for key share`;
  return rows.map(({ id }) => id);
}

export function refusal(why: string): BrambleError {
  return new BrambleError('ERR_OPENID_REFUSED', `${why} Ask a security administrator.`);
}

/**
 * For what would give him another way in, or what the next sign-in would take back.
 * @throws BrambleError ERR_CONFLICT
 */
export async function assertSignsInHere(q: Queryable, name: string): Promise<void> {
  const [found] = await listAdministrators(q, name);
  if (found?.provider == null) return;
  throw new BrambleError(
    'ERR_CONFLICT',
    `${found.name} signs in at the OpenID provider ${found.provider}, whose rules say role and groups: change it there.`,
  );
}
