/** Whether the hosts that joined have what an upgrade needs there. */
import { compareReleases } from '../../base/release-number.ts';
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

/** Hosts that are at work and have the release, as far as they joined; and whose supervisors are of it or a later one, if that counts. */
export async function readyHosts(
  q: Queryable,
  release: string,
  { supervisors: theirsToo }: { supervisors: boolean },
): Promise<string[]> {
  const [joined, present, supervisors] = await Promise.all([
    listUsableHosts(q),
    hostsWithRelease(q, release),
    listSupervisors(q),
  ]);
  const isOfRelease = (own: string | null) => own !== null && compareReleases(own, release) >= 0;
  return supervisors
    .filter((one) => one.atWork && (!theirsToo || isOfRelease(one.release)))
    .map(({ host }) => host)
    .filter((host) => !joined.includes(host) || present.includes(host));
}
