/** What a plan is made from, and the actual counts. Only reads; one snapshot if the caller passes a transaction. */

import type { Budget } from '../../api/budget.ts';
import type { PlanOptions } from '../../api/upgrade-options.ts';
import type { Loss } from '../../api/upgrade-plan.ts';
import type { Queryable } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { readBudget } from '../../deliveries/budget.ts';
import { acceptsAllItems } from '../../devices/delivery-items.ts';
import { readDomain } from '../../domain/domain.ts';
import { listDrainingHosts } from '../../hosts/hosts.ts';
import { listConnectionServices } from '../../instances/connection-services.ts';
import type { Platforms } from '../../platforms/port.ts';
import { listDesiredProcesses } from '../../registry/desired-processes.ts';
import { listSupervisors, supervisorsBehind, supervisorText } from '../../registry/supervisors.ts';
import { type FoundCanaries, findCanaries } from './canaries.ts';
import { listAccountTables, lossesOf } from './loss-manifest.ts';
import type { Rehearsal } from './rehearsal-record.ts';
import type { PlacedAccount } from './wave-assignment.ts';

export interface InstanceFacts {
  name: string;
  host: string;
  /** Names of the connection services that belong to it. */
  connectionServices: string[];
  /** The internal hosts that these reach, as one text; empty if it has no connection service. */
  reaches: string;
}

/** What a plan is made from, read from the database and from the target's archive. */
export interface PlanFacts {
  /** When they were read, by the database's clock. */
  now: Date;
  fromRelease: string;
  featureLevel: string;
  target: TargetRelease;
  /** Features that the present release knows. */
  knownFeatures: readonly string[];
  accounts: readonly PlacedAccount[];
  /** What the plan's query for canaries finds; undefined without one. */
  foundCanaries: FoundCanaries | undefined;
  instances: readonly InstanceFacts[];
  /** Names that instances, connection services and processes already have. */
  takenNames: readonly string[];
  /** Hosts that run something of the domain. */
  hosts: readonly string[];
  /** Hosts on which nothing new is to be placed. */
  drainingHosts: readonly string[];
  /** Deliveries that moving every account causes. */
  deliveries: { itPolicies: number; serviceBooks: number; synchronizations: number };
  budget: Budget;
  losses: readonly Loss[];
  /** Supervisors of these hosts that are of an earlier release than the target. */
  supervisorsBehind: readonly string[];
}

/** What the manifest of the target's archive says. */
export interface TargetRelease {
  release: string;
  features: readonly string[];
  /** The domain's verdict on its signature: `judgementText`. */
  signed?: string;
  /** What it changes that a patch of the domain's release must not; only used if its number is that of a patch. */
  differences: readonly string[];
  /** Of this step, with the domain's data. */
  rehearsed?: Rehearsal | undefined;
}

/** @throws BrambleError ERR_NO_DOMAIN. */
export async function readPlanFacts(
  q: Queryable,
  target: TargetRelease,
  own: { host: string; features: readonly string[]; platforms: Platforms },
  options: PlanOptions,
): Promise<PlanFacts> {
  const domain = await readDomain(q);
  const accounts = await q<{ name: string; instance: string; devices: number }[]>`
    select a.name, i.name as instance, coalesce(d.devices, 0) as devices
      from account a join instance i on i.id = a.instance_id
      left join (select account_id, count(*)::int as devices from device where state = 'active' group by account_id) d
             on d.account_id = a.id
     order by a.name`;
  return {
    now: await databaseTime(q),
    fromRelease: domain.release,
    featureLevel: domain.featureLevel,
    target,
    knownFeatures: own.features,
    accounts,
    foundCanaries: await findCanaries(q, options, own.platforms),
    ...(await readInstanceFacts(q, own.host)),
    drainingHosts: await listDrainingHosts(q),
    deliveries: await countDeliveries(q, own.platforms),
    budget: await readBudget(q),
    supervisorsBehind: supervisorsBehind(await listSupervisors(q), target.release).map(supervisorText),
    losses: lossesOf(await listAccountTables(q)),
  };
}

/**
 * Instances that are not retired, and the names that are taken. The host of an instance is the one that is to run its
 * process, or else the one that it registered from. @param host of instances whose host is unknown
 */
export async function readInstanceFacts(
  q: Queryable,
  host: string,
): Promise<Pick<PlanFacts, 'instances' | 'takenNames' | 'hosts'>> {
  const desired = await listDesiredProcesses(q);
  const services = await listConnectionServices(q);
  const instances = await q<{ name: string; retired: boolean; seenAt: string | null }[]>`
    select i.name, i.retired_at is not null as retired, c.host as "seenAt"
      from instance i left join component c on c.name = i.name and c.kind = 'server' order by i.name`;
  return {
    instances: instances
      .filter((instance) => !instance.retired)
      .map((instance) => ({
        name: instance.name,
        host:
          desired.find((process) => process.kind === 'server' && process.name === instance.name)?.host ??
          instance.seenAt ??
          host,
        connectionServices: services
          .filter((service) => service.instances.includes(instance.name))
          .map((service) => service.name),
        reaches: [
          ...new Set(
            services
              .filter((service) => service.instances.includes(instance.name))
              .map(({ allowedHosts }) => JSON.stringify([...allowedHosts].sort())),
          ),
        ]
          .sort()
          .join(' '),
      })),
    takenNames: [
      ...instances.map((instance) => instance.name),
      ...services.map((service) => service.name),
      ...desired.map((process) => process.name),
    ],
    hosts: [...new Set(desired.map((process) => process.host))],
  };
}

/** What moving every account once would send, by the same rule as the deliveries. */
async function countDeliveries(q: Queryable, platforms: Platforms): Promise<PlanFacts['deliveries']> {
  const [row] = await q<{ all: number; able: number }[]>`
    select count(*)::int as "all",
           count(*) filter (where ${acceptsAllItems(q, platforms)})::int as able
      from device d where d.state = 'active'`;
  const able = row?.able ?? 0;
  return { itPolicies: row?.all ?? 0, serviceBooks: able, synchronizations: able };
}
