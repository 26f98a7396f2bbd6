/**
 * The issued SRP credentials, and the numbered list of revocations and clearings. Protects: a list with a higher number
 * never contains less than one with a lower number. So the number is drawn under a table lock that is held until
 * commit: without it a revocation with a lower number could be committed after routers had already seen the higher one.
 */
import type { SrpIdentifier } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import type { RevocationList, SignedEnvelope } from '../link/messages.ts';

/** A certificate that was issued for an SRP identifier. */
interface SrpCredential {
  /** Hex, as the certificate holds it. */
  readonly serial: string;
  readonly identifier: SrpIdentifier;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
}

export interface IssuedCertificate {
  readonly serial: string;
  readonly identifier: string;
  readonly certificateDer: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * Writes a credential of an instance that is not retired, or of a connection service. Locks that row FOR SHARE. Returns
 * false when the identifier does not exist.
 */
export async function insertSrpCredential(q: Queryable, issued: IssuedCertificate): Promise<boolean> {
  const rows = await q<{ serial: string }[]>`
    with known as materialized (
      select 1 from instance where srp_identifier = ${issued.identifier} and retired_at is null for share
    ), known_service as materialized (
      select 1 from connection_service where srp_identifier = ${issued.identifier} for share
    )
    insert into srp_credential (serial, identifier, certificate, issued_at, expires_at)
    select ${issued.serial}, ${issued.identifier}, ${issued.certificateDer}::bytea, ${issued.notBefore}::timestamptz,
      ${issued.notAfter}::timestamptz
    where exists (select from known) or exists (select from known_service)
    returning serial`;
  return rows.length > 0;
}

/**
 * Writes the successor of a credential that is neither revoked nor expired. Locks the present one FOR SHARE, so that a
 * revocation either comes first, and nothing is written, or sees the successor committed before it.
 */
export async function insertSrpSuccessor(
  q: Queryable,
  presentSerial: string,
  issued: IssuedCertificate,
): Promise<boolean> {
  const rows = await q<{ serial: string }[]>`
    with present as materialized (
      select identifier from srp_credential
      where serial = ${presentSerial} and identifier = ${issued.identifier} and revoked_at is null
        and expires_at > clock_timestamp()
      for share
    )
    insert into srp_credential (serial, identifier, certificate, issued_at, expires_at)
    select ${issued.serial}, present.identifier, ${issued.certificateDer}::bytea, ${issued.notBefore}::timestamptz,
      ${issued.notAfter}::timestamptz
    from present
    returning serial`;
  return rows.length > 0;
}

/** The identifier under which the list has what no holder has: its numbers begin higher. */
export const nobody = 'S00000000';

/** Credentials that have not expired, newest first; of one identifier where it is given (index srp_credential_identifier). */
export async function listSrpCredentials(q: Queryable, identifier?: string): Promise<SrpCredential[]> {
  return await q<SrpCredential[]>`
    select serial, identifier, issued_at as "issuedAt", expires_at as "expiresAt", revoked_at as "revokedAt"
    from srp_credential
    where expires_at > now() and identifier <> ${nobody} and (${identifier ?? null}::text is null or identifier = ${identifier ?? null})
    order by identifier, issued_at desc, serial`;
}

type RevokeOutcome =
  | { readonly kind: 'revoked'; readonly identifier: SrpIdentifier; readonly number: number }
  | { readonly kind: 'already-revoked' }
  | { readonly kind: 'not-found' };

/** The holder of each identifier in use, and when its newest credential ends. Retired instances need none. */
export async function listNewestCredentials(q: Queryable): Promise<{ holder: string; endsAt: Date }[]> {
  return await q<{ holder: string; endsAt: Date }[]>`
    select h.name as holder, max(c.expires_at) as "endsAt"
      from (select name, srp_identifier from instance where retired_at is null
            union all select name, srp_identifier from connection_service) h
      join srp_credential c on c.identifier = h.srp_identifier and c.revoked_at is null
     group by h.name order by 2, 1`;
}

/** Revokes one certificate under the next number of the list. */
export async function revokeSrpCredential(tx: Transaction, serial: string): Promise<RevokeOutcome> {
  await lockList(tx);
  const [row] = await tx<{ identifier: SrpIdentifier; number: number }[]>`
    update srp_credential set revoked_at = clock_timestamp(), list_number = nextval('srp_list_number')
    where serial = ${serial} and revoked_at is null
    returning identifier, list_number::float8 as number`;
  if (row !== undefined) return { kind: 'revoked', ...row };
  const [known] = await tx<{ serial: string }[]>`select serial from srp_credential where serial = ${serial}`;
  return { kind: known === undefined ? 'not-found' : 'already-revoked' };
}

/** Lifts a suspension that routers put on an identifier. */
export async function clearSrpIdentifier(
  tx: Transaction,
  identifier: string,
): Promise<{ kind: 'cleared'; number: number } | { kind: 'not-found' }> {
  await lockList(tx);
  const [row] = await tx<{ number: number }[]>`
    insert into srp_clearance (list_number, identifier, at)
    select nextval('srp_list_number'), ${identifier}, clock_timestamp()
    where exists (select from instance where srp_identifier = ${identifier})
      or exists (select from connection_service where srp_identifier = ${identifier})
    returning list_number::float8 as number`;
  return row === undefined ? { kind: 'not-found' } : { kind: 'cleared', number: row.number };
}

/**
 * The list as it stands, from one snapshot. An entry is dropped when its certificate expires, since no router accepts
 * that one any more; the number still counts it, so that it never goes back.
 */
export async function revocationList(q: Queryable): Promise<RevocationList> {
  const [row] = await q<
    {
      number: number;
      revoked: { serial: string; identifier: string; expiresAt: string }[];
      cleared: { identifier: string; at: string }[];
    }[]
  >`
    select
      greatest(
        (select coalesce(max(list_number), 0) from srp_credential),
        (select coalesce(max(list_number), 0) from srp_clearance)
      )::float8 as number,
      (select coalesce(jsonb_agg(jsonb_build_object('serial', c.serial, 'identifier', c.identifier, 'expiresAt', c.expires_at)
                order by c.list_number), '[]')
       from srp_credential c where c.revoked_at is not null and c.expires_at > now()) as revoked,
      (select coalesce(jsonb_agg(jsonb_build_object('identifier', l.identifier, 'at', l.at) order by l.identifier), '[]')
       from (select distinct on (identifier) identifier, at from srp_clearance order by identifier, list_number desc) l
      ) as cleared`;
  if (row === undefined) throw new TypeError('a query without a table answered no row');
  return {
    number: row.number,
    revoked: row.revoked.map((entry) => ({ ...entry, expiresAt: new Date(entry.expiresAt).toISOString() })),
    cleared: row.cleared.map((entry) => ({ ...entry, at: new Date(entry.at).toISOString() })),
  };
}

/** The current number of the list, without the list. */
export async function revocationListNumber(q: Queryable): Promise<number> {
  const [row] = await q<{ number: number }[]>`
    select greatest((select coalesce(max(list_number), 0) from srp_credential),
                    (select coalesce(max(list_number), 0) from srp_clearance))::float8 as number`;
  return row?.number ?? 0;
}

export interface SignedRevocationList {
  number: number;
  envelope: SignedEnvelope;
}

/** The list as last signed by the administration; undefined if never signed. */
export async function readSignedRevocationList(q: Queryable): Promise<SignedRevocationList | undefined> {
  const [row] = await q<{ number: number; payload: string; signature: string }[]>`
    select number::float8 as number, payload, signature from revocation_list`;
  return row && { number: row.number, envelope: { payload: row.payload, signature: row.signature } };
}

/** Of concurrent writers, the higher number wins. */
export async function storeSignedRevocationList(
  q: Queryable,
  { number, envelope }: SignedRevocationList,
): Promise<void> {
  await q`
    insert into revocation_list (number, payload, signature)
    values (${number}, ${envelope.payload}, ${envelope.signature})
    on conflict (singleton) do update
       set number = excluded.number, payload = excluded.payload, signature = excluded.signature, signed_at = now()
     where revocation_list.number < excluded.number`;
}

/**
 * Revokes what a list says that is not revoked here, also certificates that are not known here, and of which it holds none:
 * those that were issued after this database's time, and route signers. Routers look at the serial number alone.
 * @returns how many
 */
export async function takeRevocations(tx: Transaction, revoked: RevocationList['revoked']): Promise<number> {
  await lockList(tx);
  const { count } = await tx`
    insert into srp_credential as c (serial, identifier, certificate, issued_at, expires_at, revoked_at, list_number)
    select r.serial, r.identifier, ''::bytea, now(), r.expires_at, clock_timestamp(), nextval('srp_list_number')
      from unnest(${revoked.map(({ serial }) => serial)}::text[], ${revoked.map(({ identifier }) => identifier)}::text[],
                  ${revoked.map(({ expiresAt }) => expiresAt)}::text[]::timestamptz[]) as r(serial, identifier, expires_at)
    on conflict (serial) do update set revoked_at = excluded.revoked_at, list_number = excluded.list_number
     where c.revoked_at is null`;
  return count;
}

/**
 * Continues the list at this number, and identifiers `skipped` further on, after the domain was restored. A credential that
 * never was, revoked and expired, holds the number: it is in no list.
 */
export async function raiseSrpNumbers(tx: Transaction, to: number, skipped: number): Promise<void> {
  await lockList(tx);
  await tx`
    insert into srp_credential (serial, identifier, certificate, issued_at, expires_at, revoked_at, list_number)
    select ${`restored${to}`}, ${nobody}, ''::bytea, now(), now(), now(),
           setval('srp_list_number', greatest(last_value + 1, ${to}::bigint)) from srp_list_number`;
  await tx`select setval('srp_number', least(last_value + ${skipped}::bigint, 99999999)) from srp_number`;
}

/** The next number, without a change: the list is signed anew. As {@link raiseSrpNumbers} does. */
export async function renumberRevocationList(tx: Transaction): Promise<void> {
  await lockList(tx);
  await tx`
    insert into srp_credential (serial, identifier, certificate, issued_at, expires_at, revoked_at, list_number)
    select 'renumbered' || drawn.number, ${nobody}, ''::bytea, now(), now(), now(), drawn.number
      from (select nextval('srp_list_number') as number) drawn`;
}

/** Conflicts with itself but not with readers; held until the transaction ends. */
async function lockList(tx: Transaction): Promise<void> {
  await tx`lock table srp_clearance in share row exclusive mode`;
}
