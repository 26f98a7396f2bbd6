/**
 * How often the new instances were interrupted since they have accounts: exited unasked, lost their lease, or were away
 * for long. An interruption of most of the old release's components at the same moment (an unavailable host or
 * database) says nothing about the new one.
 *
 * Invariant: only components that the upgrade cannot have harmed excuse anything, so no fault of the new release hides
 * behind another of its processes; and coincidence excuses {@link maxExcuses} interruptions of an instance at most.
 */
import type { UpgradeId } from '../../base/ids.ts';
import type { Queryable } from '../../database/connection.ts';
import { readUnplannedRestarts } from '../../registry/component-interruptions.ts';
import type { Absence, Replacement } from '../state/upgrade-plan.ts';
import type { GateFigures } from './gate-figures.ts';
import type { SampleScope } from './sample-scope.ts';

/** Two components notice the same outage at most this far apart: a lease lasts ten seconds. */
const sameOutageSeconds = 20;
/** An instance that is away for this long counts as interrupted again. */
const longAwaySeconds = 60;
/** Otherwise an old component that exits every minute would excuse everything. */
const maxExcuses = 3;

export async function readInterruptions(
  q: Queryable,
  scope: Pick<SampleScope, 'upgradeId' | 'replacements' | 'wave' | 'absences'>,
): Promise<GateFigures['interruptions']> {
  const instances = await (scope.replacements === null
    ? listNewInstances(q, scope)
    : listReplacedInstances(
        q,
        scope.upgradeId,
        scope.replacements.filter(({ wave }) => wave === (scope.wave ?? wave)),
      ));
  const since = new Date(Math.min(...instances.map(({ at }) => at.getTime())));
  if (instances.length === 0) return [];
  const ids = instances.map(({ id }) => id);
  const [ends, witnesses, away] = await Promise.all([
    readUnplannedRestarts(q, { names: instances.map(({ name }) => name), since }),
    listWitnesses(q, since),
    listAwayForLong(q, ids),
  ]);
  return instances.flatMap(({ id, name: of, host, at: from }) => {
    const own = ends.filter(({ name, at }) => name === of && at > from);
    const excused = own.filter(({ at }) => isOutage(witnesses, host, at)).slice(0, maxExcuses);
    const counted = own.filter((end) => !excused.includes(end));
    const gone = away.filter((each) => each.id === id && !isOutage(witnesses.map(withOpenInterruption), host, each.at));
    return [...counted, ...gone]
      .filter(({ name, at }) => !wasAbsent(scope.absences ?? [], name, at))
      .map(({ name, cause }) => ({ name, cause }));
  });
}

/** A component that this upgrade cannot have harmed, and when it was interrupted. */
export interface Witness {
  host: string;
  interruptedAt: readonly Date[];
  /** Since when it has been away, if it is. */
  awaySince: Date | null;
}

/** Only the interruption that it has not come back from: one that came back says nothing about one that did not. */
function withOpenInterruption(witness: Witness): Witness {
  return { ...witness, interruptedAt: witness.awaySince === null ? [] : [witness.awaySince] };
}

/**
 * Whether most witnesses on that host were interrupted at that moment; if there are none, most witnesses of all hosts.
 */
export function isOutage(witnesses: readonly Witness[], host: string, at: Date): boolean {
  const neighbours = witnesses.filter((witness) => witness.host === host);
  const company = neighbours.length > 0 ? neighbours : witnesses;
  const isSame = (other: Date) => Math.abs(at.getTime() - other.getTime()) <= sameOutageSeconds * 1000;
  return company.filter(({ interruptedAt }) => interruptedAt.some(isSame)).length * 2 > company.length;
}

/** The instance was away with its host, which no release does. */
function wasAbsent(absences: readonly Absence[], name: string, at: Date): boolean {
  const slackMs = sameOutageSeconds * 1000;
  return absences.some(
    ({ name: whose, since, until }) =>
      whose === name && at.getTime() >= Date.parse(since) - slackMs && at.getTime() <= Date.parse(until) + slackMs,
  );
}

interface NewInstance {
  id: string;
  name: string;
  host: string;
  at: Date;
}

/** Instances that accounts of the wave were moved to, and from when on their interruptions count. */
async function listNewInstances(
  q: Queryable,
  { upgradeId, wave }: Pick<SampleScope, 'upgradeId' | 'wave'>,
): Promise<NewInstance[]> {
  return await q<NewInstance[]>`
    select m.to_instance_id as id, coalesce(max(i.name), '') as name, coalesce(max(c.host), '') as host,
           greatest(min(m.committed_at), max((w.gate->>'windowFrom')::timestamptz)) as at
      from move_batch b
      join account_move m on m.batch_id = b.id and m.committed_at is not null
      join upgrade_wave w on w.upgrade_id = b.upgrade_id and w.number = b.wave_number
      left join instance i on i.id = m.to_instance_id
      left join component c on c.name = i.name
     where b.upgrade_id = ${upgradeId} and b.purpose = 'wave' and (${wave}::int is null or b.wave_number = ${wave}::int)
     group by 1`;
}

/** In place: instances, and since when they have been wanted of the new release. */
async function listReplacedInstances(
  q: Queryable,
  upgradeId: UpgradeId,
  replacements: readonly Replacement[],
): Promise<NewInstance[]> {
  const begun = replacements.filter(({ beganAt }) => beganAt !== undefined);
  return await q<NewInstance[]>`
    select r.id, r.name, r.host, greatest(r.began_at, (w.gate->>'windowFrom')::timestamptz) as at
      from unnest(${begun.map(({ instanceId }) => instanceId)}::uuid[], ${begun.map(({ name }) => name)}::text[],
                  ${begun.map(({ host }) => host)}::text[],
                  ${begun.map(({ wave }) => wave)}::int[], ${begun.map(({ beganAt }) => beganAt ?? null)}::timestamptz[])
             as r(id, name, host, wave, began_at)
      join upgrade_wave w on w.upgrade_id = ${upgradeId} and w.number = r.wave`;
}

/**
 * Components of the old release that were at work after `since`, with their interruptions. One whose lease ran out has
 * been away since then, although that is recorded only when it returns. By component_interruption_name.
 */
async function listWitnesses(q: Queryable, since: Date): Promise<Witness[]> {
  return await q<Witness[]>`
    select c.host, a.at as "awaySince",
           array_remove(a.at || array(select n.at from component_interruption n where n.name = c.name
              and n.at > ${since}::timestamptz - make_interval(secs => ${sameOutageSeconds})), null) as "interruptedAt"
      from component c cross join lateral (
        select case when c.lease_until < clock_timestamp() then c.lease_until end as at) a
     where c.kind <> 'router' and c.release <> (select release from domain) and c.stopped_at is null
       and c.lease_until > ${since}::timestamptz - make_interval(secs => ${sameOutageSeconds})`;
}

/**
 * Those whose process is wanted but has been away for {@link longAwaySeconds}: killed, hung, or ended in good order.
 */
async function listAwayForLong(
  q: Queryable,
  instanceIds: readonly string[],
): Promise<{ id: string; name: string; cause: string; at: Date }[]> {
  return await q<{ id: string; name: string; cause: string; at: Date }[]>`
    select i.id, i.name, 'away' as cause, least(c.stopped_at, c.lease_until) as at
      from instance i
      join component c on c.name = i.name and c.kind = 'server'
      join desired_process p on p.name = i.name and p.state = 'running'
     where i.id = any(${instanceIds as string[]}::uuid[])
       and least(c.stopped_at, c.lease_until) < clock_timestamp() - make_interval(secs => ${longAwaySeconds})
       and p.changed_at < clock_timestamp() - make_interval(secs => ${longAwaySeconds})`;
}
