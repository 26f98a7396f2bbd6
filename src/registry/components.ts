/**
 * Registration and lease of components, and the range of releases that the database declares.
 *
 * Protects rules 3 and 5 of the upgrade: a component outside the declared range does not start, and registering waits
 * for a feature level that is being raised, so that none slips in between the check of all components and the raise.
 * Protects all other rows from a router, which may be compromised.
 */
import { BrambleError } from '../base/errors.ts';
import { compareReleases } from '../base/release-number.ts';
import { advisoryLock, lockClass } from '../database/advisory-locks.ts';
import type { Database, Queryable, Transaction } from '../database/connection.ts';
import type { ComponentDetail } from './component-detail.ts';

export type ComponentKind = 'router' | 'server' | 'administration' | 'connection' | 'coordinator';
export const componentKinds: readonly ComponentKind[] = [
  'router',
  'server',
  'administration',
  'connection',
  'coordinator',
];

export interface ComponentIdentity {
  name: string;
  kind: ComponentKind;
  host: string;
  bootId: string;
  processId: number;
  release: string;
  linkVersions: readonly number[];
  features: readonly string[];
  /** Where it answers /healthz, /readyz and /metrics: `http://127.0.0.1:port`. */
  loopbackUrl: string | null;
}

export interface Component extends ComponentIdentity {
  startedAt: Date;
  leaseUntil: Date;
  /** Its lease has not run out and it did not say goodbye. */
  alive: boolean;
  stoppedAt: Date | null;
  detail: Record<string, unknown>;
}

/** How long a registration holds without a sign of life; renewed every two seconds. */
export const leaseSeconds = 10;

/** What a component can work with; the database declares what it has. */
export interface Compatibility {
  /** The lowest schema version that this release can work on. */
  leastSchemaVersion: number;
}

/**
 * Registers the component, or renews its registration under the same name, after checking the declared range.
 * @throws BrambleError ERR_RELEASE_TOO_OLD, ERR_SCHEMA_TOO_OLD, for an administration service ERR_RELEASE_MISMATCH, or
 *   ERR_COMPONENT_NAME_TAKEN when a live component of another kind has the name.
 */
export async function registerComponent(
  db: Database,
  component: ComponentIdentity,
  compatibility: Compatibility,
): Promise<void> {
  await db.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock_shared(${lockClass}, ${advisoryLock.featureLevel})`;
    await assertCompatible(tx, component, compatibility);
    if (await upsertComponent(tx, component, {})) return;
    throw new BrambleError(
      'ERR_COMPONENT_NAME_TAKEN',
      `A component named ${component.name} of another kind is running. Stop that one, or give this one another name.`,
      { details: { name: component.name, kind: component.kind } },
    );
  });
}

/**
 * Renews the lease; `gone` when the registration was forgotten or taken over by another process of the same name.
 * Checks the range again, so that a component that an upgrade left behind stops by itself.
 */
export async function renewLease(
  db: Database,
  component: ComponentIdentity,
  compatibility: Compatibility,
  detail: ComponentDetail = {},
): Promise<'renewed' | 'gone'> {
  return await db.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock_shared(${lockClass}, ${advisoryLock.featureLevel})`;
    await assertCompatible(tx, component, compatibility);
    const { count } = await tx`
      update component set lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds}),
             detail = ${tx.json(detail as never)}
       where name = ${component.name} and boot_id = ${component.bootId} and process_id = ${component.processId}
         and stopped_at is null`;
    return count === 1 ? 'renewed' : 'gone';
  });
}

/** What a router reports about itself, and the key that it proved over the link. */
export interface RouterIdentity extends Omit<ComponentIdentity, 'kind'> {
  /** SHA-256 of its public key, hex. */
  key: string;
}

/**
 * Rows that one key may hold: enough for copies of one router's key under other names, but not for a crowd of made-up
 * ones.
 */
const namesOfOneKey = 8;

/**
 * A router's registration, written by an instance on its behalf, since routers have no database access. It changes only
 * rows of routers, and only those bound to its own key; a row bound to no key (1.1 binds none) becomes bound to it.
 * A former one is passed over: who removes a router holds the lock exclusively, and forgets it.
 * @throws BrambleError ERR_ROUTER_NAME_TAKEN when the row belongs to another.
 */
export async function registerRouter(
  db: Database,
  router: RouterIdentity,
  detail: ComponentDetail,
  isFormer: (tx: Transaction, router: { name: string; host: string }) => Promise<boolean>,
): Promise<void> {
  await db.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock_shared(${lockClass}, ${advisoryLock.featureLevel})`;
    if (await isFormer(tx, router)) return;
    const [held] = await tx<{ names: number }[]>`
      select count(*)::int as names from component
       where router_key = ${router.key} and kind = 'router' and name <> ${router.name}`;
    const hasRoom = held !== undefined && held.names < namesOfOneKey;
    if (hasRoom && (await upsertComponent(tx, { ...router, kind: 'router' }, detail))) {
      // The row is locked from here on; if it is bound to another key, the error rolls back the write.
      const { count } = await tx`
        update component set router_key = ${router.key}
         where name = ${router.name} and coalesce(router_key, ${router.key}) = ${router.key}`;
      if (count === 1) return;
    }
    throw new BrambleError(
      'ERR_ROUTER_NAME_TAKEN',
      `The router that calls itself ${router.name} on ${router.host} is not registered: the name belongs to another ` +
        'component, or to a router with another key. If its key was renewed, stop the router for ten seconds, ' +
        `then run: bramble component forget ${router.name}.`,
      { details: { name: router.name, host: router.host } },
    );
  });
}

/**
 * False when the row belongs to another: a router overwrites only routers, and a live component of another kind is
 * never overwritten. Names no column that 1.1 lacks: the coordinator registers before it expands the schema.
 */
async function upsertComponent(
  tx: Transaction,
  component: ComponentIdentity,
  detail: ComponentDetail,
): Promise<boolean> {
  const { count } = await tx`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, loopback_url, detail,
                           lease_until)
    values (${component.name}, ${component.kind}, ${component.host}, ${component.bootId}, ${component.processId},
            ${component.release}, ${component.linkVersions as number[]}, ${component.features as string[]},
            ${component.loopbackUrl}, ${tx.json(detail as never)},
            clock_timestamp() + make_interval(secs => ${leaseSeconds}))
    on conflict (name) do update
       set kind = excluded.kind, host = excluded.host, boot_id = excluded.boot_id, process_id = excluded.process_id,
           release = excluded.release, link_versions = excluded.link_versions, features = excluded.features,
           loopback_url = excluded.loopback_url, detail = excluded.detail, lease_until = excluded.lease_until,
           stopped_at = null,
           started_at = case when component.boot_id = excluded.boot_id and component.process_id = excluded.process_id
                             then component.started_at else now() end
     where component.kind = excluded.kind
        or (excluded.kind <> 'router' and (component.kind = 'router' or component.stopped_at is not null
                                           or component.lease_until <= clock_timestamp()))`;
  return count === 1;
}

/** An orderly goodbye: the row stays, since an absent component still counts, but its lease is not waited for. */
export async function markStopped(
  q: Queryable,
  component: Pick<ComponentIdentity, 'name' | 'bootId' | 'processId'>,
): Promise<void> {
  await q`
    update component set stopped_at = now()
     where name = ${component.name} and boot_id = ${component.bootId} and process_id = ${component.processId}`;
}

/** A component that ends because its work failed, not because it was asked to, records that. */
export async function recordFailure(
  q: Queryable,
  { name, kind, release }: Pick<ComponentIdentity, 'name' | 'kind' | 'release'>,
  reason: string,
): Promise<void> {
  await q`
    insert into component_interruption (name, kind, release, at, cause, reason)
    values (${name}, ${kind}, ${release}, clock_timestamp(), 'failure', ${reason.slice(0, 1000)})`;
}

export async function listComponents(q: Queryable): Promise<Component[]> {
  return await q<Component[]>`
    select name, kind, host, boot_id as "bootId", process_id as "processId", release, link_versions as "linkVersions",
           features, loopback_url as "loopbackUrl", detail, started_at as "startedAt", lease_until as "leaseUntil",
           stopped_at as "stoppedAt", stopped_at is null and lease_until > clock_timestamp() as alive
      from component order by kind, name`;
}

/** Loopback ports on which components answer. */
export async function loopbackPorts(q: Queryable): Promise<number[]> {
  const rows = await q<{ url: string }[]>`select loopback_url as url from component where loopback_url is not null`;
  return rows.flatMap(({ url }) => (URL.canParse(url) ? [Number(new URL(url).port)] : []));
}

/** Removes a dead component for good; `alive` when it holds its lease, even if it has only just registered. */
export async function forgetComponent(q: Queryable, name: string): Promise<'forgotten' | 'alive' | 'not-found'> {
  const { count } = await q`
    delete from component
     where name = ${name} and (stopped_at is not null or lease_until <= clock_timestamp())`;
  if (count === 1) return 'forgotten';
  const [row] = await q`select 1 from component where name = ${name}`;
  return row ? 'alive' : 'not-found';
}

/** The lowest release declared for each kind. */
export async function declareRange(q: Queryable, leastRelease: string): Promise<void> {
  await q`
    insert into component_range (kind, least_release)
    select kind, ${leastRelease} from unnest(${componentKinds as string[]}::text[]) as kind
    on conflict (kind) do update set least_release = excluded.least_release`;
}

/** @throws BrambleError when the component is outside the range that the database declares. */
export async function assertCompatible(
  q: Queryable,
  component: Pick<ComponentIdentity, 'kind' | 'release' | 'name'>,
  compatibility: Compatibility,
): Promise<void> {
  const [declared] = await q<{ release: string; schemaVersion: number; least: string | null }[]>`
    select d.release, d.schema_version as "schemaVersion", r.least_release as least
      from domain d left join component_range r on r.kind = ${component.kind}`;
  if (!declared) throw new BrambleError('ERR_NO_DOMAIN', 'The database holds no domain yet.');
  if (component.kind === 'administration' && declared.release !== component.release) {
    throw new BrambleError(
      'ERR_RELEASE_MISMATCH',
      `The database is of release ${declared.release}, the administration service ${component.name} of ` +
        `${component.release}. Both must be of the same release: start it from ${declared.release}, or upgrade ` +
        'the domain.',
      { details: { database: declared.release, own: component.release } },
    );
  }
  // The coordinator runs before the schema of its release exists: it creates it.
  if (component.kind !== 'coordinator' && declared.schemaVersion < compatibility.leastSchemaVersion) {
    throw new BrambleError(
      'ERR_SCHEMA_TOO_OLD',
      `The database has schema ${declared.schemaVersion}; release ${component.release} needs at least ` +
        `${compatibility.leastSchemaVersion}. Upgrade the domain first.`,
      { details: { schema: declared.schemaVersion, needed: compatibility.leastSchemaVersion } },
    );
  }
  if (declared.least !== null && compareReleases(component.release, declared.least) < 0) {
    throw new BrambleError(
      'ERR_RELEASE_TOO_OLD',
      `The domain needs release ${declared.least} or later of every ${component.kind}; ${component.name} is of ` +
        `${component.release}. Start it from a later release.`,
      { details: { least: declared.least, own: component.release } },
    );
  }
}
