/**
 * What every component may know of the domain's routers: where they are dialled, which instances and connection services follow
 * and a credential file begins with, and when their certificates end.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError } from '../base/errors.ts';
import { isOwnHost } from '../base/own-host.ts';
import type { Queryable } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';
import { type RouterAddress, readCredential } from '../link/credential.ts';

/** Of every router that is to be dialled. None in a domain that was made without addresses. */
export async function listRouterAddresses(q: Queryable): Promise<RouterAddress[]> {
  return await q<RouterAddress[]>`
    select link_host as host, coalesce(link_port, srp_port) as port, server_name as "serverName"
      from router where srp_port is not null and removed_at is null order by name`;
}

/** Whether it was removed, or its name was given to a router on another host since. */
export async function isFormerRouter(q: Queryable, router: { name: string; host: string }): Promise<boolean> {
  const rows = await q`
    select 1 from router where name = ${router.name} and (removed_at is not null or host <> ${router.host})`;
  return rows.length > 0;
}

interface RouterEnd {
  name: string;
  host: string;
  /** Of its certificate; null where its host has not asked for one. */
  endsAt: Date | null;
  removed: boolean;
}

/** None before the schema has the table: checks of an upgrade precede its expansion. */
export async function listRouterEnds(q: Queryable): Promise<RouterEnd[]> {
  if (!(await hasTable(q, 'router'))) return [];
  return await q<RouterEnd[]>`
    select name, host, certificate_ends_at as "endsAt", removed_at is not null as removed from router order by name`;
}

/** Of the routers on a host, the SRP port that the domain knows. */
export async function knownPorts(q: Queryable, host: string): Promise<Map<string, number | null>> {
  const rows = await q<{ name: string; srpPort: number | null }[]>`
    select name, srp_port as "srpPort" from router where host = ${host} and removed_at is null`;
  return new Map(rows.map(({ name, srpPort }) => [name, srpPort]));
}

/** Whether other hosts are to dial a router where only its own host can. */
export function listensOnlyForItself({
  listenAddress,
  linkHost,
}: {
  listenAddress: string;
  linkHost: string;
}): boolean {
  return isOwnHost(listenAddress) && !isOwnHost(linkHost);
}

/**
 * For a new credential: from the table or, in a domain made without addresses, from a credential in this home.
 * @throws BrambleError ERR_NO_ROUTER when neither has one
 */
export async function routerAddresses(q: Queryable, home: string): Promise<RouterAddress[]> {
  const addresses = await listRouterAddresses(q);
  if (addresses.length > 0) return addresses;
  const names = await readdir(join(home, 'credentials')).catch((): string[] => []);
  for (const name of names.sort()) {
    const identifier = /^([SC]\d{8})\.json$/.exec(name)?.[1];
    if (identifier !== undefined) return (await readCredential(home, identifier)).routers;
  }
  throw new BrambleError(
    'ERR_NO_ROUTER',
    'No router of the domain is known yet, so the credential would not contain an address to dial. Start a router ' +
      'first.',
  );
}
