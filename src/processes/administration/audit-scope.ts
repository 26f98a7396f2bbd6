/**
 * Which operations on record somebody sees who is limited to groups: those whose path names an account, a group, a device or a command
 * that he sees.
 *
 * Invariant: an operation that does not say by its scope what its path names is not for him.
 */
import type { RecordFacts } from '../../access/audit/audit-list.ts';
import { accountNamed, groupNamed, isAccountWithin, isGroupWithin } from '../../accounts/account-scope.ts';
import type { Operation, Operations, Scope } from '../../api/operation.ts';
import { resources } from '../../api/operations.ts';
import type { Queryable, SqlFragment } from '../../database/connection.ts';
import { ownerOfCommand, ownerOfDevice } from '../../devices/device-scope.ts';

const changing = Object.values<Operations>(resources)
  .flatMap((resource) => Object.values<Operation>(resource))
  .filter(({ method }) => method !== 'GET');

/** As the record names them. */
const operationsOf = (scope: Scope): string[] =>
  changing.filter((operation) => operation.scope === scope).map(({ method, path }) => `${method} ${path}`);

export function isRecordWithin(
  q: Queryable,
  { operation, subjects, at }: RecordFacts,
  within: readonly string[],
): SqlFragment {
  const first = q`(${subjects})[1]`;
  const ofAccount = (name: SqlFragment) => isAccountWithin(q, accountNamed(q, q`lower(trim(${name}))`, at), within);
  const ofGroup = q`coalesce(${isGroupWithin(q, groupNamed(q, first), within)}, false)`;
  return q`case
    when ${operation} = any(${operationsOf('account')}) then ${ofAccount(first)}
    when ${operation} = any(${operationsOf('device')}) then ${isAccountWithin(q, ownerOfDevice(q, first), within)}
    when ${operation} = any(${operationsOf('command')}) then ${isAccountWithin(q, ownerOfCommand(q, first), within)}
    when ${operation} = any(${operationsOf('group')}) then ${ofGroup}
    when ${operation} = any(${operationsOf('membership')}) then ${ofGroup} and ${ofAccount(q`(${subjects})[2]`)}
    else false end`;
}
