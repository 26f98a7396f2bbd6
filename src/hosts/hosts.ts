/** The hosts that joined. */
import type { Queryable, Transaction } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';

interface Host {
  name: string;
  joinedAt: Date;
  /** Administration services and coordinators may run there. */
  administers: boolean;
  /** Nothing new is placed on it since then. */
  drainingSince: Date | null;
}

export async function listHosts(q: Queryable): Promise<Host[]> {
  return await q<Host[]>`
    select name, joined_at as "joinedAt", administers, draining_since as "drainingSince" from host order by name`;
}

/** One that joined; until the transaction ends it is neither drained nor removed. */
export async function holdHost(tx: Transaction, name: string): Promise<Host | undefined> {
  const [host] = await tx<Host[]>`
    select name, joined_at as "joinedAt", administers, draining_since as "drainingSince"
      from host where name = ${name} for share`;
  return host;
}

/** Until the transaction ends nothing is placed on it. */
export async function lockHost(tx: Transaction, name: string): Promise<void> {
  await tx`select from host where name = ${name} for update`;
}

/** Names of those that processes may be placed on. None before the schema has the table. */
export async function listUsableHosts(q: Queryable): Promise<string[]> {
  return (await listKnownHosts(q)).filter(({ drainingSince }) => drainingSince === null).map(({ name }) => name);
}

/** Names of those that are being drained. None before the schema has the table. */
export async function listDrainingHosts(q: Queryable): Promise<string[]> {
  return (await listKnownHosts(q)).filter(({ drainingSince }) => drainingSince !== null).map(({ name }) => name);
}

async function listKnownHosts(q: Queryable): Promise<Host[]> {
  return (await hasTable(q, 'host')) ? await listHosts(q) : [];
}

/** SubjectPublicKeyInfo; undefined where no such host has joined. */
export async function hostKey(q: Queryable, name: string): Promise<Buffer | undefined> {
  const [row] = await q<{ publicKey: Buffer }[]>`select public_key as "publicKey" from host where name = ${name}`;
  return row?.publicKey;
}
