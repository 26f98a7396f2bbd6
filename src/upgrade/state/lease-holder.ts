/**
 * The holder of the coordinator's lease, as text: component, host, process and boot, and a unique part for each start.
 * A successor on the same host sees that a holder is dead, and need not wait for the lease to run out. If it were
 * mistaken, the lease would still protect: the other's transactions no longer commit.
 */
import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../database/connection.ts';
import type { ComponentIdentity } from '../../registry/components.ts';
import { readOpenUpgrade, releaseLease } from './upgrade-store.ts';

type Identity = Pick<ComponentIdentity, 'name' | 'host' | 'processId' | 'bootId'>;

export function leaseHolderOf({ name, host, processId, bootId }: Identity): string {
  return `${name}@${host}#${processId}/${bootId}/${randomUUID()}`;
}

/** True if the holder ran on this host and its process is gone, or the host has been rebooted. */
export function isDeadHolder(
  holder: string,
  own: Pick<Identity, 'host' | 'bootId'>,
  isAlive: (processId: number) => boolean,
): boolean {
  const match = /^[^@]*@(.*)#(\d+)\/([^/]*)\/[^/]*$/.exec(holder);
  const [, host, processId, bootId] = match ?? [];
  if (host !== own.host) return false;
  return bootId !== own.bootId || !isAlive(Number(processId));
}

/** Takes the lease from a holder that died on this host. */
export async function releaseDeadHolder(q: Queryable, own: Identity): Promise<void> {
  const open = await readOpenUpgrade(q);
  if (open === undefined || open.leaseHolder === null || !isDeadHolder(open.leaseHolder, own, processIsAlive)) return;
  await releaseLease(q, open.id, open.leaseHolder);
}

function processIsAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
