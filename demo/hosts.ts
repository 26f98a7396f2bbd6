/** The demo over several computers: the database that all of them reach, how they join, and how their supervisors are replaced. */
import { rmSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbedded, stopEmbedded } from '../src/database/embedded/server.ts';
import type { RunningDomain } from '../test/harness/domain.ts';
import { type FurtherHost, joinFurtherHost, takeOver } from '../test/harness/further-host.ts';
import type { Progress } from './progress.ts';
import type { UpgradeFollower } from './upgrade-follower.ts';

const furtherHosts = ['berlin', 'hamburg'];

/** A PostgreSQL that is no host's own. */
export async function startSharedDatabase(): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-demo-database-'));
  // As root, PostgreSQL runs as another user, which needs to pass through this folder.
  await chmod(folder, 0o711);
  const cluster = join(folder, 'postgres');
  const server = await startEmbedded({ folder: cluster });
  const endServer = () => {
    process.kill(server.pid, 'SIGQUIT');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', endServer);
  return {
    url: server.url,
    async stop() {
      process.off('exit', endServer);
      await stopEmbedded({ folder: cluster, mode: 'immediate' });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Computers join until there are `count`; each is in `hosts` as soon as it needs to be stopped. */
export async function joinHosts(
  domain: RunningDomain,
  hosts: FurtherHost[],
  count: number,
  progress: Progress,
): Promise<void> {
  for (const name of furtherHosts.slice(0, count - 1)) {
    progress.step(`The computer ${name} joins.`);
    const host = await joinFurtherHost(domain, name);
    hosts.push(host);
    progress.say(`It fetched the release from the database; its supervisor is at work in a home of its own.`);
  }
}

/** Where the plan of the upgrade puts the successors of the two instances: none of them on the first computer. */
export function placesOf(hosts: readonly FurtherHost[]): Record<string, { host: string }> {
  if (hosts.length === 0) return {};
  return Object.fromEntries(
    ['server-1', 'server-2'].map((name, index) => [name, { host: hosts[index % hosts.length]?.name ?? '' }]),
  );
}

/** Once finalizing asks for it: on each computer, from the folder that is there already. */
export async function takeOverSupervisors(
  hosts: readonly (RunningDomain | FurtherHost)[],
  release: string,
  follower: UpgradeFollower,
  progress: Progress,
): Promise<void> {
  const { waitingFor } = await follower.follow(['done'], {
    timeoutMs: 90_000,
    until: (view) => /^supervisors /.test(view.waitingFor ?? ''),
  });
  // What follows is how to replace them, which is done next.
  progress.step(`Finalizing waits for ${waitingFor?.split(';')[0]}.`);
  for (const host of hosts) {
    await takeOver(host, release);
    progress.say(`The new supervisor of ${'name' in host ? host.name : 'the first computer'} took over.`);
  }
}
