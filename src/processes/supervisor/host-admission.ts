/**
 * Whether the domain still knows this host, as it joined. One that was removed runs nothing from a home that was left, and does not
 * report itself: it would be taken for a host of the domain.
 */
import { createPublicKey } from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';
import type { Sql } from '../../database/session.ts';
import { isInsufficientPrivilege, isUndefinedTable } from '../../database/sql-state.ts';
import { readHostKey } from '../../hosts/host-key.ts';
import { hostKey } from '../../hosts/hosts.ts';

/**
 * Always so for a host that did not join, and where the database does not say.
 * @throws BrambleError ERR_HOST_REMOVED
 */
export async function assertAdmitted(sql: Sql, home: string, host: string): Promise<void> {
  const own = await readHostKey(home);
  if (own === null) return;
  const publicKey = createPublicKey(own.privateKeyPem).export({ type: 'spki', format: 'der' });
  try {
    if ((await hostKey(sql, host))?.equals(publicKey) === true) return;
  } catch (error) {
    if (isUndefinedTable(error) || isInsufficientPrivilege(error)) return;
    throw error;
  }
  throw new BrambleError(
    'ERR_HOST_REMOVED',
    `This host, ${host}, was removed from the domain, or the domain was restored and the host has not joined it again: nothing runs here. ` +
      `Delete ${home}, which still has the domain’s secrets. To use this computer again, invite it (\`bramble host invite ${host}\`) and ` +
      'join with a home of its own.',
  );
}
