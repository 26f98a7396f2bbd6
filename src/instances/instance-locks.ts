/**
 * Locks on the rows of instances: shared by those that bring accounts to them, and held alone by one that has to see that none
 * comes. In the order of their ids, so that nobody waits in a circle.
 */
import type { InstanceId } from '../base/ids.ts';
import type { Transaction } from '../database/connection.ts';

/** Of all instances, or of these, those that are not retired; none is until the transaction ends. */
export async function holdStandingInstances(
  tx: Transaction,
  among?: readonly string[],
): Promise<{ id: InstanceId; name: string }[]> {
  return await tx<{ id: InstanceId; name: string }[]>`
    select id, name from instance
     where retired_at is null ${among === undefined ? tx`` : tx`and id = any(${among as string[]}::uuid[])`}
     order by id for share`;
}

/** Of all that are not retired: until the transaction ends nobody else holds or retires one. */
export async function lockStandingInstances(tx: Transaction): Promise<void> {
  await tx`select from instance where retired_at is null order by id for update`;
}

/** The ids of the instances of these names: until the transaction ends nobody else holds them. */
export async function lockInstances(tx: Transaction, names: readonly string[]): Promise<InstanceId[]> {
  const rows = await tx<{ id: InstanceId }[]>`
    select id from instance where name = any(${names as string[]}) order by id for update`;
  return rows.map(({ id }) => id);
}
