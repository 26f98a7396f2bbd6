/** On which hosts an upgrade can add instances. */
import type { Queryable } from '../../database/connection.ts';
import { listUsableHosts } from '../../hosts/hosts.ts';
import { listDesiredProcesses } from '../../registry/desired-processes.ts';

/** Where the coordinator can add instances: on its own host (`otherwise`, if it was never started), and on those that joined. */
export async function hostsForInstances(q: Queryable, coordinator: string, otherwise: string): Promise<string[]> {
  const host = (await listDesiredProcesses(q)).find(({ name }) => name === coordinator)?.host;
  return [host ?? otherwise, ...(await listUsableHosts(q))];
}

/** Why a host cannot be used. */
export function unusableText(usable: readonly string[]): string {
  return `which has not joined, or is being drained; usable: ${usable.join(', ')}`;
}
