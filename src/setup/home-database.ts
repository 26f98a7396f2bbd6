/** The database of a domain as this host's home knows it: what a command enters that asks no administration service. */
import { join } from 'node:path';
import { BrambleError } from '../base/errors.ts';
import { readCluster } from '../database/embedded/cluster.ts';
import { findPostmaster } from '../database/embedded/postmaster.ts';
import { urlOf } from '../database/embedded/probe.ts';
import { readConfiguration } from '../processes/supervisor/configuration.ts';

export interface HomeDatabase {
  /** As the supervisor of this host enters it. */
  url: string;
  embedded: boolean;
  /** Name of this host. */
  host: string;
}

/** @throws BrambleError ERR_CONFIGURATION; ERR_DATABASE_UNAVAILABLE where an embedded PostgreSQL does not run. */
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
