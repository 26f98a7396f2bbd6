/** A process that another of its name has replaced: it may still end in good order, and must begin nothing any more. */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import type { ComponentIdentity } from './components.ts';

/**
 * A condition of SQL: another process of this name has registered and serves in its place. True for every statement that sees
 * what was written after that was reported. By the primary key.
 */
export function successorServes(
  q: Queryable,
  { name, bootId, processId }: Pick<ComponentIdentity, 'name' | 'bootId' | 'processId'>,
): SqlFragment {
  return q`exists (
    select from component c
     where c.name = ${name} and (c.boot_id, c.process_id) <> (${bootId}, ${processId})
       and c.stopped_at is null and c.lease_until > clock_timestamp() and c.detail ->> 'serving' = 'true')`;
}
