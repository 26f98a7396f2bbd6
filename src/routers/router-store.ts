/** The routers of the domain: where each runs and is dialled. */
import type { Queryable, Transaction } from '../database/connection.ts';

export interface DomainRouter {
  name: string;
  host: string;
  linkHost: string;
  /** If it is dialled at another port than it listens on. */
  linkPort: number | null;
  /** As its host has told; nobody dials it before. */
  srpPort: number | null;
  publicPort: number | null;
  /** Its certificate; null where its host has not asked for one. */
  endsAt: Date | null;
  /** Why its host was not given a certificate for it. */
  refusal: string | null;
}

export async function listRouters(q: Queryable): Promise<DomainRouter[]> {
  return await q<DomainRouter[]>`
    select name, host, link_host as "linkHost", link_port as "linkPort", srp_port as "srpPort",
           public_port as "publicPort", certificate_ends_at as "endsAt", r.refusal
      from router left join router_request r on r.router = name
     where removed_at is null order by name`;
}

type NewRouter = Omit<DomainRouter, 'refusal' | 'endsAt'> & { serverName: string };

/** In place of a removed one of this name. False when there is one. */
export async function insertRouter(tx: Transaction, router: NewRouter): Promise<boolean> {
  await tx`delete from router where name = ${router.name} and removed_at is not null`;
  const { count } = await tx`
    insert into router (name, host, link_host, link_port, server_name, srp_port, public_port)
    values (${router.name}, ${router.host}, ${router.linkHost}, ${router.linkPort}, ${router.serverName},
            ${router.srpPort}, ${router.publicPort})
    on conflict do nothing`;
  return count === 1;
}

/** Until the transaction ends, nobody else removes one. */
export async function lockRouters(tx: Transaction): Promise<void> {
  await tx`select from router order by name for update`;
}

/** Its row stays, so that what it still reports about itself is not taken for a new router. */
export async function markRemoved(tx: Transaction, name: string): Promise<void> {
  await tx`update router set removed_at = now() where name = ${name}`;
  await tx`delete from router_request where router = ${name}`;
}
