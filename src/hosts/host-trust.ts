/** Which domain authorities a host that joined trusts by now. */
import type { Queryable } from '../database/connection.ts';
import { trustOf } from '../instances/holder-trust.ts';
import type { Trust } from '../link/trusted-authorities.ts';
import type { HostKey } from './host-key.ts';

export async function hostTrust(q: Queryable, { domainAuthorityPem }: HostKey): Promise<Trust> {
  return await trustOf(q, domainAuthorityPem);
}
