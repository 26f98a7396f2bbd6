/**
 * How often the new instances were interrupted since accounts are at them: ended unasked, lost their lease, or are away for
 * long. What befell other components in the same moment (a database or a host that was away) says nothing of the release.
 */
import type { Queryable } from '../database/connection.ts';
import { readUnplannedRestarts } from '../domain/component-interruptions.ts';
import type { GateFigures } from './gate-figures.ts';
import type { SampleScope } from './gate-samples.ts';

/** So far apart two components may notice the same outage: a lease lasts ten seconds. */
const sameOutageSeconds = 20;
/** An instance that is away for so long counts again. */
const longAwaySeconds = 60;

export async function readInterruptions(
  q: Queryable,
  scope: Pick<SampleScope, 'upgradeId' | 'wave'>,
): Promise<GateFigures['interruptions']> {
  const instances = await listNewInstances(q, scope);
  const since = instances.reduce<Date | null>((least, { at }) => (least === null || at < least ? at : least), null);
  if (since === null) return [];
  const instanceIds = instances.map(({ id }) => id);
  const [all, shared, away] = await Promise.all([
    readUnplannedRestarts(q, { instanceIds, since }),
    listOutagesOfOthers(q, since),
    listAwayForLong(q, instanceIds),
  ]);
  const own = all.filter(({ at }) =>
    shared.every((other) => Math.abs(at.getTime() - other.getTime()) > sameOutageSeconds * 1000),
  );
  return [...own, ...away].map(({ name, cause }) => ({ name, cause }));
}

/** Where accounts of the wave were moved to, and from when on what happens there counts. */
async function listNewInstances(
  q: Queryable,
  { upgradeId, wave }: Pick<SampleScope, 'upgradeId' | 'wave'>,
): Promise<{ id: string; at: Date }[]> {
  return await q<{ id: string; at: Date }[]>`
    select m.to_instance_id as id, greatest(min(m.committed_at), max((w.gate->>'windowFrom')::timestamptz)) as at
      from move_batch b
      join account_move m on m.batch_id = b.id and m.committed_at is not null
      join upgrade_wave w on w.upgrade_id = b.upgrade_id and w.number = b.wave_number
     where b.upgrade_id = ${upgradeId} and b.purpose = 'wave' and (${wave}::int is null or b.wave_number = ${wave}::int)
     group by 1`;
}

/** When components were interrupted that this upgrade's instances cannot have harmed: of other kinds or of the old release. */
async function listOutagesOfOthers(q: Queryable, since: Date): Promise<Date[]> {
  const rows = await q<{ at: Date }[]>`
    select n.at from component_interruption n
     where n.at > ${since}::timestamptz - make_interval(secs => ${sameOutageSeconds})
       and (n.kind in ('administration', 'coordinator')
            or (n.kind = 'server' and n.release <> (select release from domain)))`;
  return rows.map(({ at }) => at);
}

/** Whose process is wanted, and has been away for more than {@link longAwaySeconds}: killed, hung, or ended in good order. */
async function listAwayForLong(
  q: Queryable,
  instanceIds: readonly string[],
): Promise<{ name: string; cause: string }[]> {
  return await q<{ name: string; cause: string }[]>`
    select i.name, 'away' as cause
      from instance i
      join component c on c.name = i.name and c.kind = 'server'
      join desired_process p on p.name = i.name and p.state = 'running'
     where i.id = any(${instanceIds as string[]}::uuid[])
       and least(c.stopped_at, c.lease_until) < clock_timestamp() - make_interval(secs => ${longAwaySeconds})
       and p.changed_at < clock_timestamp() - make_interval(secs => ${longAwaySeconds})`;
}
