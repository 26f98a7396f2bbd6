/**
 * Unplanned exits and lost leases of components, as recorded by the database (trigger `component_interrupted`,
 * sql/015-request-outcomes.expand.sql), whatever the component's release or that of its supervisor.
 */
import type { Queryable } from '../database/connection.ts';

/**
 * - `exit`: the process ended without a goodbye. Seen when its successor registers, or once its lease has run out.
 * - `lease`: the lease ran out and the same process renewed it later: it hung, or was cut off from the database.
 * - `failure`: the process ended itself in good order because its work failed.
 */
type InterruptionCause = 'exit' | 'lease' | 'failure';

interface Interruption {
  /** Of the instance, and of its component. */
  name: string;
  at: Date;
  cause: InterruptionCause;
  reason: string | null;
}

/** Unplanned restarts and lost leases of these instances after `since`, oldest first; by component_interruption_name. */
export async function readUnplannedRestarts(
  q: Queryable,
  scope: { names: readonly string[]; since: Date },
): Promise<Interruption[]> {
  return await q<Interruption[]>`
    select n.name, n.at, n.cause, n.reason
      from component_interruption n
     where n.name = any(${scope.names as string[]}::text[]) and n.kind = 'server' and n.at > ${scope.since}
    union all
    select c.name, c.lease_until, 'exit', null
      from component c
     where c.name = any(${scope.names as string[]}::text[]) and c.kind = 'server'
       and c.stopped_at is null and c.lease_until < clock_timestamp() and c.lease_until > ${scope.since}
     order by at`;
}
