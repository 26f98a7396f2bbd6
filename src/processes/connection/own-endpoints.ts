/**
 * The domain's own endpoints, which tunnels reach only when listed by exact address and port. They are looked at and resolved again
 * every minute, in the background.
 *
 * Invariant: a look that fails opens nothing. While the places cannot be read, the previous ones count, and before the first
 * reading those known without it. A name that cannot be resolved keeps its previous addresses; one that never could is refused by
 * itself, and resolved again within seconds.
 */
import { readDatabaseAddress } from '../../base/database-address.ts';
import type { TunnelRule } from './tunnel-rule.ts';

type OwnEndpoints = TunnelRule['own'];

interface OwnPlace {
  /** A name or an address. */
  host: string;
  port: number;
  what: string;
}

const resolveAgainMs = 60_000;
const resolveMissingAgainMs = 2000;

export function createOwnEndpoints(
  initial: readonly OwnPlace[],
  places: () => Promise<readonly OwnPlace[]>,
  resolve: (host: string) => Promise<readonly string[]>,
  now: () => number,
): () => Promise<OwnEndpoints> {
  let known: OwnEndpoints | null = null;
  let resolving: Promise<OwnEndpoints> | null = null;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let present = initial;
  /** By name. */
  const last = new Map<string, readonly string[]>();
  const resolveAll = async () => {
    present = await places().catch(() => present);
    await Promise.all(
      [...new Set(present.map(({ host }) => host))].map(async (host) => {
        const addresses = await resolve(host).catch(() => null);
        if (addresses !== null) last.set(host, addresses);
      }),
    );
    known = present.flatMap(({ host, port, what }) =>
      (last.get(host) ?? [plainName(host)]).map((address) => ({ address, port, what })),
    );
    return known;
  };
  return async () => {
    const isMissing = present.some(({ host }) => !last.has(host));
    if (now() - askedAtMs >= (isMissing ? resolveMissingAgainMs : resolveAgainMs)) {
      askedAtMs = now();
      resolving = resolveAll();
    }
    return known ?? (await resolving) ?? [];
  };
}

/** As a device would name it. */
function plainName(host: string): string {
  return host.toLowerCase().replace(/\.$/, '');
}

/** The database, the routers and the domain's public address, as far as their addresses are known. */
export function ownPlaces(from: {
  databaseUrl: string;
  routers: readonly { host: string; port: number }[];
  publicUrl: string;
}): OwnPlace[] {
  const databases = readDatabaseAddress(from.databaseUrl)
    .hosts.filter(({ name }) => !name.startsWith('/'))
    .map(({ name, port }) => ({ host: name, port, what: 'the database of the domain' }));
  const edge = placeOf(from.publicUrl, 443, 'the public address of the domain');
  const routers = from.routers.map(({ host, port }) => ({ host, port, what: 'a router of the domain' }));
  return [...databases, ...(edge === null ? [] : [edge]), ...routers];
}

/** Null for a URL without a host. */
function placeOf(url: string, defaultPort: number, what: string): OwnPlace | null {
  if (!URL.canParse(url)) return null;
  const { hostname, port } = new URL(url);
  if (hostname === '') return null;
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? defaultPort : Number(port), what };
}
