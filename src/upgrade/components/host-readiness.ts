/** Whether the hosts that joined have what an upgrade needs there. */
import type { Queryable } from '../../database/connection.ts';
import { hostsWithRelease } from '../../distribution/host-releases.ts';
import { listUsableHosts } from '../../hosts/hosts.ts';
import { listSupervisors } from '../../registry/supervisors.ts';

/** Hosts whose supervisors are at work and have not fetched the release yet: they will, within seconds. */
export async function hostsFetching(q: Queryable, release: string): Promise<string[]> {
  const joined = await listUsableHosts(q);
  if (joined.length === 0) return [];
  const [present, supervisors] = await Promise.all([hostsWithRelease(q, release), listSupervisors(q)]);
  const atWork = supervisors.filter((one) => one.atWork).map(({ host }) => host);
  return joined.filter((host) => atWork.includes(host) && !present.includes(host));
}
