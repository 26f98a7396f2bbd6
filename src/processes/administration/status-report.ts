/** The domain at a glance: what runs, where accounts are, what is owed to devices and what holds it back. */

import type { Queryable } from '../../database/connection.ts';
import { type Budget, readBudget } from '../../deliveries/budget.ts';
import { readPermitUse } from '../../deliveries/permits.ts';
import { deliveryStates } from '../../deliveries/state/delivery-states.ts';
import { handOutsShown } from '../../devices/unanswered-commands.ts';
import { type Domain, readDomain } from '../../domain/domain.ts';
import { listInstances } from '../../instances/instances.ts';
import { moveStates } from '../../moves/state/move-states.ts';
import { type Component, componentKinds, listComponents } from '../../registry/components.ts';
import { isFeatureActive } from '../../registry/features.ts';
import { type HostSupervisor, listSupervisors } from '../../registry/supervisors.ts';
import { readOpenUpgrade } from '../../upgrade/state/upgrade-store.ts';
import { type ListedCertificate, listCertificates } from './certificate-list.ts';
import type { AdministrationContext } from './context.ts';
import { holdText } from './delivery-list.ts';
import { countIdentities, type IdentityCounts } from './identity-renewals.ts';

type StatusContext = Pick<AdministrationContext, 'db' | 'home' | 'features'>;

export interface InstanceStatus {
  name: string;
  srpIdentifier: string;
  accountCount: number;
  deviceCount: number;
  release: string | null;
  alive: boolean;
  /** Routers that its link is open to now. */
  links: { router: string; since: string | null; reconnects: number }[];
  deliveries: { owed: number; released: number; inFlight: number; suspects: number };
  hold: { reason: string; text: string; waiting: number; heldSeconds: number } | null;
}

export interface StatusReport {
  domain: Pick<Domain, 'name' | 'publicUrl' | 'tunnelHost' | 'release' | 'schemaVersion' | 'featureLevel'>;
  components: Component[];
  supervisors: HostSupervisor[];
  instances: InstanceStatus[];
  /** PostgreSQL's name of the role, where every process has the same one. */
  sharedDatabaseRole: string | null;
  deliveries: {
    inFlight: number;
    suspects: number;
    budget: Budget;
    /** While silent devices hold slots that others wait for. */
    heldBySuspects: { instances: string[]; silent: number; clearedBy: string } | null;
  };
  /** Of active devices; `renewing` is false until an upgrade that brings renewals is finalized. */
  identities: IdentityCounts & { renewing: boolean };
  certificates: ListedCertificate[];
  /** Devices that were handed the same command again and again without answering. */
  unansweredDevices: number;
  openMoves: { batch: string; purpose: string; state: string; open: number; outOfReach: number }[];
  upgrade: {
    id: string;
    from: string;
    to: string;
    state: string;
    pausedFrom: string | null;
    reason: string | null;
  } | null;
}

export async function readStatus({ db: q, home, features }: StatusContext): Promise<StatusReport> {
  const [
    domain,
    components,
    supervisors,
    instances,
    deliveries,
    holds,
    permits,
    budget,
    openMoves,
    upgrade,
    sessions,
    silence,
    identities,
    renewing,
    certificates,
  ] = await Promise.all([
    readDomain(q),
    listComponents(q),
    listSupervisors(q),
    listInstances(q),
    countDeliveries(q),
    listHolds(q),
    readPermitUse(q),
    readBudget(q),
    listOpenMoves(q),
    openUpgrade(q),
    listSessionRoles(q),
    countSilence(q),
    countIdentities(q),
    isFeatureActive(q, features, 'device-identity-renewal'),
    listCertificates(q, home),
  ]);
  const heldInstances = instances
    .filter(({ id }) => holds.some((hold) => hold.instanceId === id && hold.reason === 'suspects'))
    .map(({ name }) => name);
  const held = { silent: silence.silent, clearedBy: 'bramble device requeue --silent' };
  const used = (scope: string): number => permits.find((use) => use.scope === scope)?.taken ?? 0;
  return {
    domain,
    components,
    supervisors,
    instances: instances
      .filter((instance) => instance.retiredAt === null)
      .map((instance) => {
        const component = components.find(
          (candidate) => candidate.kind === 'server' && candidate.name === instance.name,
        );
        const hold = holds.find((candidate) => candidate.instanceId === instance.id);
        const counts = deliveries.find((candidate) => candidate.instanceId === instance.id);
        return {
          name: instance.name,
          srpIdentifier: instance.srpIdentifier,
          accountCount: instance.accountCount,
          deviceCount: instance.deviceCount,
          release: component?.release ?? null,
          alive: component?.alive ?? false,
          links: linksOf(components, instance.srpIdentifier),
          deliveries: {
            owed: counts?.owed ?? 0,
            released: counts?.released ?? 0,
            inFlight: counts?.inFlight ?? 0,
            suspects: counts?.suspects ?? 0,
          },
          hold: hold === undefined ? null : holdView(hold),
        };
      }),
    sharedDatabaseRole: sharedRole(sessions),
    deliveries: {
      inFlight: used('domain'),
      suspects: used('suspects'),
      budget,
      heldBySuspects: heldInstances.length === 0 ? null : { instances: heldInstances, ...held },
    },
    identities: { ...identities, renewing },
    certificates,
    unansweredDevices: silence.unansweredDevices,
    openMoves,
    upgrade: upgrade ?? null,
  };
}

/** From what the routers report of themselves. */
function linksOf(components: readonly Component[], identifier: string): InstanceStatus['links'] {
  return components
    .filter((component) => component.kind === 'router' && component.alive)
    .flatMap((router) => {
      const links = router.detail['links'];
      if (!Array.isArray(links)) return [];
      return links
        .filter((link): link is Record<string, unknown> => typeof link === 'object' && link !== null)
        .filter((link) => link['identifier'] === identifier)
        .map((link) => ({
          router: router.name,
          since: typeof link['since'] === 'string' ? link['since'] : null,
          reconnects: Number(link['reconnects'] ?? 0),
        }));
    });
}

interface DeliveryCounts {
  instanceId: string;
  owed: number;
  released: number;
  inFlight: number;
  suspects: number;
}

/** Open deliveries by the owner of their account; through index delivery_open. */
async function countDeliveries(q: Queryable): Promise<DeliveryCounts[]> {
  return await q<DeliveryCounts[]>`
    select a.instance_id as "instanceId",
           count(*) filter (where d.state = 'owed')::int as owed,
           count(*) filter (where d.state = 'released')::int as released,
           count(*) filter (where d.state = 'handed-out')::int as "inFlight",
           count(*) filter (where d.state = 'suspect')::int as suspects
      from delivery d join account a on a.id = d.account_id
     where ${deliveryStates.in(q, 'open', 'd')}
     group by a.instance_id`;
}

/** Deliveries that silent devices have, by delivery_open; devices with unanswered commands, by command_pending. */
async function countSilence(q: Queryable): Promise<{ silent: number; unansweredDevices: number }> {
  const { suspectAfterSeconds } = await readBudget(q);
  const [row] = await q<{ silent: number; unansweredDevices: number }[]>`
    select (select count(*)::int from delivery
             where ${deliveryStates.in(q, 'with-device')} and budgeted
               and handed_out_at < clock_timestamp() - make_interval(secs => ${suspectAfterSeconds})) as silent,
           (select count(distinct device_id)::int from command
             where state = 'sent' and unanswered >= ${handOutsShown}) as "unansweredDevices"`;
  return row ?? { silent: 0, unansweredDevices: 0 };
}

interface Hold {
  instanceId: string;
  reason: string;
  waiting: number;
  heldSeconds: number;
}

async function listHolds(q: Queryable): Promise<Hold[]> {
  return await q<Hold[]>`
    select instance_id as "instanceId", reason, waiting, held_seconds as "heldSeconds" from delivery_hold`;
}

function holdView(hold: Hold) {
  const text = hold.reason === 'nothing' ? 'nothing' : holdText(hold.reason);
  return { reason: hold.reason, text, waiting: hold.waiting, heldSeconds: hold.heldSeconds };
}

/** Batches with moves that are not closed; through index account_move_batch. */
async function listOpenMoves(q: Queryable): Promise<StatusReport['openMoves']> {
  return await q<StatusReport['openMoves'][number][]>`
    select b.id as batch, b.purpose, b.state, count(*)::int as open,
           count(*) filter (where m.out_of_reach)::int as "outOfReach"
      from move_batch b join account_move m on m.batch_id = b.id
     where b.state <> 'done' and ${moveStates.in(q, 'under-way', 'm')}
     group by b.id
     order by b.created_at`;
}

async function openUpgrade(q: Queryable): Promise<StatusReport['upgrade'] | undefined> {
  const open = await readOpenUpgrade(q);
  if (open === undefined) return undefined;
  const { id, fromRelease, toRelease, state, pausedFrom, pauseReason } = open;
  return { id, from: fromRelease, to: toRelease, state, pausedFrom, reason: pauseReason };
}

interface SessionRole {
  kind: string;
  role: string;
}

/** Which role each kind of component has, by what its sessions call themselves. */
async function listSessionRoles(q: Queryable): Promise<SessionRole[]> {
  return await q<SessionRole[]>`
    select distinct split_part(application_name, '/', 2) as kind, usename as role
      from pg_stat_activity
     where datname = current_database() and application_name like 'bramble/%/%'
       and split_part(application_name, '/', 2) = any(${componentKinds as string[]})`;
}

/** The one role of several kinds of component; null where they have different ones. Pure. */
export function sharedRole(sessions: readonly SessionRole[]): string | null {
  const [role, ...others] = new Set(sessions.map((session) => session.role));
  const kinds = new Set(sessions.map((session) => session.kind));
  return role !== undefined && others.length === 0 && kinds.size > 1 ? role : null;
}
