/**
 * Of whom an event speaks, for those who are limited to groups.
 *
 * Invariants: a kind that is not listed here is of the domain, and not for them. An event that speaks of several accounts is seen by who
 * sees each of them; one of an account or a device that is not known any more by nobody of them.
 */
import { accountNamed, groupsOf, isAccountWithin } from '../accounts/account-scope.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';
import type { EventFacts } from '../domain/events.ts';
import { ownerOfDevice } from './device-scope.ts';

/** Kinds whose subject is the name of an account. */
const ofAccounts = ['delivery-part-skipped'];
/** Kinds whose subject is the id of a device; where another one is part of it, `by` or `rival` of the detail is its id. */
const ofDevices = [
  ...['bootstrap-token-refused', 'command-given-up', 'command-unanswered', 'device-clock-differs', 'device-contested'],
  ...['device-ended', 'device-former-identity', 'device-identity-renewed', 'device-names-another', 'device-removed'],
  ...['device-suspended', 'device-unknown-identity', 'device-without-tls'],
];
const known: ReadonlySet<string> = new Set([...ofAccounts, ...ofDevices]);

export function speaksOfAccounts(kind: string): boolean {
  return known.has(kind);
}

export function isEventWithin(q: Queryable, event: EventFacts, within: readonly string[]): SqlFragment {
  return q`coalesce((
    select bool_and(${isAccountWithin(q, q`spoken.account_id`, within)}) from (${spokenOf(q, event)}) spoken), false)`;
}

/**
 * By the events' ids: for each account that one speaks of, the groups that this is in now.
 * @param rows a query for the events
 */
export async function groupsOfEvents(q: Queryable, rows: SqlFragment): Promise<ReadonlyMap<bigint, string[][]>> {
  const facts = { kind: q`event.kind`, subject: q`event.subject`, detail: q`event.detail`, at: q`event.at` };
  const found = await q<{ id: string; groups: string[][] | null }[]>`
    select event.id::text as id,
           (select jsonb_agg(${groupsOf(q, q`spoken.account_id`)}) from (${spokenOf(q, facts)}) spoken) as groups
      from (${rows}) event`;
  return new Map(found.map(({ id, groups }) => [BigInt(id), groups ?? []]));
}

/** A query for the accounts; a row of null for one that is not known. */
function spokenOf(q: Queryable, { kind, subject, detail, at }: EventFacts): SqlFragment {
  return q`
    select ${accountNamed(q, subject, at)} as account_id where ${kind} = any(${ofAccounts})
    union all
    select ${ownerOfDevice(q, q`told.id`)} from unnest(array[${subject}, ${detail} ->> 'by', ${detail} ->> 'rival']) told (id)
     where ${kind} = any(${ofDevices}) and told.id is not null`;
}
