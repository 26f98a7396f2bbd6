/**
 * The domain's database as known in this host's home, for commands that do not go through an administration service.
 */
import { join } from 'node:path';
import { BrambleError } from '../base/errors.ts';
import { readCluster } from '../database/embedded/cluster.ts';
import { findPostmaster } from '../database/embedded/postmaster.ts';
import { urlOf } from '../database/embedded/probe.ts';
import { readConfiguration } from '../process/configuration.ts';

interface HomeDatabase {
  /** The address that this host's supervisor uses. */
  url: string;
  embedded: boolean;
  /** Name of this host. */
  host: string;
}

/** @throws BrambleError ERR_CONFIGURATION; ERR_DATABASE_UNAVAILABLE when an embedded PostgreSQL is not running. */
export async function homeDatabase(home: string): Promise<HomeDatabase> {
  const { database, host } = await readConfiguration(home);
  if ('url' in database) return { url: database.url, embedded: false, host };
  const cluster = await readCluster(join(home, 'postgres'));
  const running = cluster === null ? null : await findPostmaster(cluster.dataFolder);
  if (cluster !== null && running?.status === 'ready') {
    return { url: urlOf(cluster.password, running.port), embedded: true, host };
  }
  throw new BrambleError(
    'ERR_DATABASE_UNAVAILABLE',
    `The embedded PostgreSQL of ${home} is not running. Start the domain with \`bramble up\` and try again.`,
  );
}
