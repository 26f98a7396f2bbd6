/**
 * Names of whoever acts. Invariant: nobody gets the name of an administrator, a token or a process, since the audit, events and
 * lists tell them by their names.
 */
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { isProcessName } from '../registry/process-names.ts';

/** Of processes that come and go. */
const reserved: readonly string[] = ['coordinator'];

/**
 * For a new administrator or token. Each table sees to it that it does not have the name twice.
 * @throws BrambleError ERR_NAME_TAKEN
 */
export async function assertNameFree(q: Queryable, kind: 'administrator' | 'token', name: string): Promise<void> {
  const holder = await holderOf(q, kind, name);
  if (holder === null) return;
  throw new BrambleError(
    'ERR_NAME_TAKEN',
    `${name} is the name of ${holder}, and the audit tells who did what by names. Choose another name.`,
  );
}

async function holderOf(q: Queryable, kind: 'administrator' | 'token', name: string): Promise<string | null> {
  if (reserved.includes(name.toLowerCase()) || (await isProcessName(q, name))) return 'a process';
  const { count } =
    kind === 'token'
      ? await q`select from administrator where lower(name) = lower(${name})`
      : await q`
          select from api_token where lower(name) = lower(${name})
          union all select from administrator_token where lower(name) = lower(${name})`;
  if (count === 0) return null;
  return kind === 'token' ? 'an administrator' : 'a token, or was';
}
