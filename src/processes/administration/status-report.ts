/** The domain at a glance: what runs, where accounts are, which deliveries are owed and what holds them back. */
import type { DomainStatus } from '../../api/domain.ts';
import type { Unchanged } from '../../api/operation.ts';
import type { Queryable } from '../../database/connection.ts';
import { readBudget } from '../../deliveries/budget.ts';
import {
  countOpenDeliveries,
  countSilent,
  type Hold,
  listHolds,
  type OpenDeliveries,
} from '../../deliveries/delivery-figures.ts';
import { holdText } from '../../deliveries/hold-text.ts';
import { readPermitUse } from '../../deliveries/permits.ts';
import { countDevicesByState, countUnansweredDevices } from '../../devices/device-list.ts';
import { countIdentities } from '../../devices/renewal-report.ts';
import { listScheduledBackups } from '../../domain/backup-schedules.ts';
import { readDomain } from '../../domain/domain.ts';
import { type RestoredDomain, readRestored } from '../../domain/restored-domain.ts';
import { type Instance, listInstances } from '../../instances/instances.ts';
import { listOpenBatches } from '../../moves/move-reports.ts';
import { listTargets } from '../../notices/target-store.ts';
import { takenLinks } from '../../registry/component-detail.ts';
import { type Component, componentKinds, listComponents } from '../../registry/components.ts';
import { featureStates, isFeatureActive, lockedByUpgrade } from '../../registry/features.ts';
import { listSupervisors } from '../../registry/supervisors.ts';
import { readDecisionSince, readHaltedSince } from '../../upgrade/state/awaited-decision.ts';
import { readOpenUpgrade } from '../../upgrade/state/upgrade-store.ts';
import { listCertificates } from './certificate-list.ts';
import type { AdministrationContext } from './context.ts';

type Status = Unchanged<DomainStatus>;
type InstanceStatus = Status['instances'][number];

/** Several statements: figures may be some milliseconds apart. */
export async function readStatus(context: AdministrationContext): Promise<Status> {
  const { db: q, features } = context;
  const [domain, components, supervisors, listed, openMoves, upgrade, sessions, certificates, restored] =
    await Promise.all([
      readDomain(q),
      listComponents(q),
      listSupervisors(q),
      listInstances(q),
      listOpenBatches(q),
      openUpgrade(q),
      listSessionRoles(q),
      listCertificates(context),
      readRestored(q),
    ]);
  const [
    counts,
    holds,
    permits,
    budget,
    silent,
    deviceStates,
    unansweredDevices,
    identities,
    renewing,
    targets,
    backups,
  ] = await Promise.all([
    countOpenDeliveries(q),
    listHolds(q),
    readPermitUse(q),
    readBudget(q),
    countSilent(q),
    countDevicesByState(q),
    countUnansweredDevices(q),
    countIdentities(q),
    isFeatureActive(q, features, 'device-identity-renewal'),
    listTargets(q),
    listScheduledBackups(q),
  ]);
  const used = (scope: string): number => permits.find((use) => use.scope === scope)?.taken ?? 0;
  const instances = listed.filter((instance) => instance.retiredAt === null);
  return {
    domain,
    groups: null,
    components,
    supervisors,
    instances: instances.map((instance) => instanceStatus(instance, components, counts, holds)),
    sharedDatabaseRole: sharedRole(sessions),
    deliveries: {
      inFlight: used('domain'),
      suspects: used('suspects'),
      budget: { ...budget },
      heldBySuspects: heldBySuspects(listed, holds, silent),
    },
    identities: { ...identities, renewing },
    certificates,
    deviceStates,
    unansweredDevices,
    failingNotices: targets.flatMap(({ name: target, waiting, failures, lastError }) =>
      lastError === null ? [] : [{ target, waiting, failures, lastError }],
    ),
    scheduledBackups: backups.map(({ setBy: _, triedAt: __, ...backup }) => backup),
    openMoves,
    restored: restored && restoredStatus(restored),
    upgrade: upgradeView(upgrade, featureStates(features, domain.featureLevel, components)),
  };
}

function restoredStatus({ stopped, ...facts }: RestoredDomain): NonNullable<Status['restored']> {
  return { ...facts, paused: stopped !== null };
}

function instanceStatus(
  { id, name, srpIdentifier, accountCount, deviceCount }: Instance,
  components: readonly Component[],
  counts: readonly OpenDeliveries[],
  holds: readonly Hold[],
): InstanceStatus {
  const component = components.find((candidate) => candidate.kind === 'server' && candidate.name === name);
  const hold = holds.find((candidate) => candidate.instanceId === id);
  const none = { owed: 0, released: 0, inFlight: 0, suspects: 0 };
  return {
    ...{ name, srpIdentifier, accountCount, deviceCount },
    release: component?.release ?? null,
    alive: component?.alive ?? false,
    links: linksOf(components, srpIdentifier),
    deliveries: counts.find((candidate) => candidate.instanceId === id) ?? none,
    hold: hold === undefined ? null : holdView(hold),
  };
}

/** While silent devices hold slots that others wait for. */
function heldBySuspects(
  instances: readonly Instance[],
  holds: readonly Hold[],
  silent: number,
): Status['deliveries']['heldBySuspects'] {
  const held = instances
    .filter(({ id }) => holds.some((hold) => hold.instanceId === id && hold.reason === 'suspects'))
    .map(({ name }) => name);
  return held.length === 0 ? null : { instances: held, silent, clearedBy: 'bramble device requeue --silent' };
}

/** From the routers' reports about themselves. */
function linksOf(components: readonly Component[], identifier: string): InstanceStatus['links'] {
  return components
    .filter((component) => component.kind === 'router' && component.alive)
    .flatMap((router) =>
      takenLinks(router.detail)
        .filter((link) => link.identifier === identifier)
        .map(({ since, reconnects }) => ({ router: router.name, since, reconnects })),
    );
}

function holdView(hold: Hold) {
  const text = hold.reason === 'nothing' ? 'nothing' : holdText(hold.reason);
  return { reason: hold.reason, text, waiting: hold.waiting, heldSeconds: hold.heldSeconds };
}

async function openUpgrade(q: Queryable) {
  const open = await readOpenUpgrade(q);
  if (open === undefined) return null;
  return { open, since: await readDecisionSince(q, open), haltedSince: await readHaltedSince(q, open) };
}

function upgradeView(found: Awaited<ReturnType<typeof openUpgrade>>, states: Parameters<typeof lockedByUpgrade>[0]) {
  if (found === null) return null;
  const { open, since, haltedSince } = found;
  const { id, fromRelease: from, toRelease: to, state, pausedFrom, pauseReason: reason } = open;
  const decision = since === null ? null : { since, lockedFeatures: lockedByUpgrade(states) };
  return { id, from, to, state, pausedFrom, reason, decision, haltedSince };
}

interface SessionRole {
  kind: string;
  role: string;
}

/** Which role each kind of component has, by its sessions' application names. */
async function listSessionRoles(q: Queryable): Promise<SessionRole[]> {
  return await q<SessionRole[]>`
    select distinct split_part(application_name, '/', 2) as kind, usename as role
      from pg_stat_activity
     where datname = current_database() and application_name like 'bramble/%/%'
       and split_part(application_name, '/', 2) = any(${componentKinds as string[]})`;
}

/** The common role of several kinds of component; null if they differ. Pure. */
function sharedRole(sessions: readonly SessionRole[]): string | null {
  const [role, ...others] = new Set(sessions.map((session) => session.role));
  const kinds = new Set(sessions.map((session) => session.kind));
  return role !== undefined && others.length === 0 && kinds.size > 1 ? role : null;
}
