/** On which hosts an upgrade can add instances. */
import { BrambleError } from '../../base/errors.ts';
import type { Queryable } from '../../database/connection.ts';
import { listDrainingHosts, listUsableHosts } from '../../hosts/hosts.ts';
import { listDesiredProcesses } from '../../registry/desired-processes.ts';

/** Where the coordinator can add instances: on its own host (`otherwise`, if it was never started), and on those that joined. */
export async function hostsForInstances(q: Queryable, coordinator: string, otherwise: string): Promise<string[]> {
  const host = (await listDesiredProcesses(q)).find(({ name }) => name === coordinator)?.host;
  return [host ?? otherwise, ...(await listUsableHosts(q))];
}

/** Of hosts that an operator names. @throws BrambleError ERR_UPGRADE_INSTANCE that names the others and the usable ones */
export function assertUsableHosts(hosts: readonly string[], usable: readonly string[]): void {
  const others = [...new Set(hosts)].filter((host) => !usable.includes(host));
  if (others.length === 0) return;
  throw new BrambleError(
    'ERR_UPGRADE_INSTANCE',
    `Nothing can be added on ${others.join(', ')}, ${unusableText(usable)}.`,
  );
}

/** Those that are being drained pass: they may be used again by the start, whose checks look. @throws as {@link assertUsableHosts} */
export async function assertJoined(
  q: Queryable,
  hosts: readonly string[],
  { coordinator, otherwise }: { coordinator: string; otherwise: string },
): Promise<void> {
  if (hosts.length === 0) return;
  const draining = await listDrainingHosts(q);
  assertUsableHosts(
    hosts.filter((host) => !draining.includes(host)),
    await hostsForInstances(q, coordinator, otherwise),
  );
}

/** Why a host cannot be used. */
export function unusableText(usable: readonly string[]): string {
  return `which has not joined, or is being drained; usable: ${usable.join(', ')}`;
}
