/**
 * Changes to devices when their account moves to an instance of release 1.1, which would not understand them otherwise.
 *
 * Invariant: reversing an upgrade strands no device. 1.1 knows no `suspended_at`: it takes a suspended enrolment for one
 * that never became active and refuses its connects for ever, while the device has no reason to enrol again.
 */
import type { AccountId, InstanceId } from '../base/ids.ts';
import type { Transaction } from '../database/connection.ts';
import { isSuspended } from '../states/device-states.ts';
import { hasWakeAddress } from '../states/stored-names.ts';

/** What a move has changed. */
interface MovedAccount {
  readonly accountId: AccountId;
  readonly toInstanceId: InstanceId;
}

/**
 * Reactivates enrolments that were active when they were suspended, if the move took the account to an instance that is
 * not of 1.2. Never once 1.2 is finalized, since no such instance is left. Runs after the change of owner, in its
 * transaction, and before the move's deliveries are owed. Relies on device_account and the primary key of
 * desired_process.
 */
export async function resumeForEarlierRelease(tx: Transaction, move: MovedAccount): Promise<void> {
  await tx`
    update device d set state = 'active'
     where d.account_id = ${move.accountId} and ${isSuspended(tx, 'd')}
       and ${hasWakeAddress(tx, 'd')}
       and exists (select 1 from account a where a.id = d.account_id and a.instance_id = ${move.toInstanceId})
       and exists (select 1 from domain where string_to_array(feature_level, '.')::int[] < array[1, 2, 0])
       and not exists (select 1 from instance i join desired_process p on p.name = i.name and p.kind = 'server'
                        where i.id = ${move.toInstanceId}
                          and string_to_array(p.release, '.')::int[] >= array[1, 2, 0])`;
}
