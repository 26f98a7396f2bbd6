/** A PostgreSQL of a test's own that also listens at an address which other computers reach, as an external one does. */
import { spawn } from 'node:child_process';
import { appendFile, chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installBinaries } from '../../src/database/embedded/binaries.ts';
import { findPostmaster } from '../../src/database/embedded/postmaster.ts';
import { startEmbedded, stopEmbedded } from '../../src/database/embedded/server.ts';
import { serverUser } from '../../src/database/embedded/server-user.ts';
import { until } from '../../src/testing/condition.ts';

export interface ReachableDatabase {
  /** Of its superuser, at this computer. */
  readonly url: string;
  stop(): Promise<void>;
}

/** The embedded server's cluster, but not its server: that one listens on loopback alone. */
export async function startReachableDatabase(address: string): Promise<ReachableDatabase> {
  const top = await mkdtemp(join(tmpdir(), 'bramble-reachable-'));
  // As root, PostgreSQL runs as another user, which needs to pass through this folder.
  await chmod(top, 0o711);
  const folder = join(top, 'postgres');
  const stop = async () => {
    await stopEmbedded({ folder, mode: 'immediate' });
    await rm(top, { recursive: true, force: true });
  };
  try {
    const { port } = await startEmbedded({ folder, settings: { fsync: 'off' } });
    await stopEmbedded({ folder, mode: 'fast' });
    const data = join(folder, 'cluster', 'data');
    await appendFile(join(data, 'pg_hba.conf'), 'host all all samenet scram-sha-256\n');
    const user = await serverUser();
    const settings = { listen_addresses: `127.0.0.1,${address}`, port, fsync: 'off', unix_socket_directories: '' };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const { bin } = await installBinaries(folder, null);
    spawn(join(bin, 'postgres'), ['-D', data, ...options], {
      ...(user && { uid: user.uid, gid: user.gid }),
      ...{ cwd: '/', stdio: 'ignore', env: { LC_ALL: 'C' } },
    });
    await until('PostgreSQL has begun to start', 60_000, async () => (await findPostmaster(data)) !== null);
    const { url } = await startEmbedded({ folder });
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
