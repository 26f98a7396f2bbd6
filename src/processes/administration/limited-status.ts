/**
 * The domain at a glance for somebody who is limited to groups.
 *
 * Invariants: every count is of accounts in these groups. Of the domain as a whole he learns what each of his devices knows (its name,
 * address and release), the configured budget, whether the instances of his accounts are at work, and that an upgrade is under way.
 */
import { listGroups } from '../../accounts/groups.ts';
import type { DomainStatus } from '../../api/domain.ts';
import type { Unchanged } from '../../api/operation.ts';
import type { Queryable } from '../../database/connection.ts';
import { readBudget } from '../../deliveries/budget.ts';
import { countOpenDeliveries } from '../../deliveries/delivery-figures.ts';
import { countWithin } from '../../devices/counts-within.ts';
import { countUnansweredDevices } from '../../devices/device-list.ts';
import { countIdentities } from '../../devices/renewal-report.ts';
import { readDomain } from '../../domain/domain.ts';
import { listInstanceNames } from '../../instances/instances.ts';
import { listOpenBatches } from '../../moves/move-reports.ts';
import { listComponents } from '../../registry/components.ts';
import { isFeatureActive } from '../../registry/features.ts';
import { readOpenUpgrade } from '../../upgrade/state/upgrade-store.ts';
import type { AdministrationContext } from './context.ts';

type Status = Unchanged<DomainStatus>;

/** What is of the domain as a whole, or of others. */
const nothingOfOthers = {
  components: [],
  supervisors: [],
  sharedDatabaseRole: null,
  certificates: [],
  failingNotices: [],
  scheduledBackups: [],
  restored: null,
} satisfies Partial<Status>;

/** @param within ids of his groups */
export async function readLimitedStatus(context: AdministrationContext, within: readonly string[]): Promise<Status> {
  const { db: q, features } = context;
  const [domain, groups, instances, deliveries, budget] = await Promise.all([
    readDomain(q),
    listGroups(q, within),
    ownInstances(q, within),
    countOpenDeliveries(q, within),
    readBudget(q),
  ]);
  const [openMoves, unansweredDevices, identities, renewing, upgrade] = await Promise.all([
    listOpenBatches(q, within),
    countUnansweredDevices(q, within),
    countIdentities(q, within),
    isFeatureActive(q, features, 'device-identity-renewal'),
    readOpenUpgrade(q),
  ]);
  const none = { owed: 0, released: 0, inFlight: 0, suspects: 0 };
  const sum = (of: 'inFlight' | 'suspects') => deliveries.reduce((total, each) => total + each[of], 0);
  return {
    ...nothingOfOthers,
    domain,
    groups: groups.map(({ name }) => name),
    instances: instances.map(({ id, devices: _, ...instance }) => ({
      ...instance,
      links: [],
      deliveries: deliveries.find(({ instanceId }) => instanceId === id) ?? none,
      hold: null,
    })),
    deliveries: { inFlight: sum('inFlight'), suspects: sum('suspects'), budget: { ...budget }, heldBySuspects: null },
    identities: { ...identities, renewing },
    deviceStates: statesOf(instances),
    unansweredDevices,
    openMoves,
    upgrade: upgrade === undefined ? null : upgradeView(upgrade),
  };
}

/** Those that accounts of the groups are on. */
async function ownInstances(q: Queryable, within: readonly string[]) {
  const [counts, names, components] = await Promise.all([
    countWithin(q, within),
    listInstanceNames(q),
    listComponents(q),
  ]);
  return names.flatMap(({ id, name, srpIdentifier }) => {
    const own = counts.find(({ instanceId }) => instanceId === id);
    if (own === undefined) return [];
    const component = components.find((candidate) => candidate.kind === 'server' && candidate.name === name);
    const { accountCount, devices } = own;
    const deviceCount = Object.values(devices).reduce((total, count) => total + count, 0);
    const { release = null, alive = false } = component ?? {};
    return [{ id, name, srpIdentifier, accountCount, deviceCount, release, alive, devices }];
  });
}

function statesOf(instances: readonly { readonly devices: Readonly<Record<string, number>> }[]) {
  const counts = new Map<string, number>();
  for (const { devices } of instances) {
    for (const [state, count] of Object.entries(devices)) counts.set(state, (counts.get(state) ?? 0) + count);
  }
  return [...counts].sort().map(([state, count]) => ({ state, count }));
}

/** Why it is paused, and what it waits for, may name others. */
function upgradeView({ id, fromRelease: from, toRelease: to, state, pausedFrom }: OpenUpgrade): Status['upgrade'] {
  return { id, from, to, state, pausedFrom, reason: null, decision: null, haltedSince: null };
}

type OpenUpgrade = NonNullable<Awaited<ReturnType<typeof readOpenUpgrade>>>;
