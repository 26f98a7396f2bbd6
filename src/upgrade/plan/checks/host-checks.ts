/** Checks of this host: what is planned for it, and what it has. */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Database, Queryable } from '../../../database/connection.ts';
import { readCluster } from '../../../database/embedded/cluster.ts';
import { readMasterKeys } from '../../../database/sealed-value.ts';
import { hostsWithRelease } from '../../../distribution/host-releases.ts';
import { loadAuthorities } from '../../../domain/authorities.ts';
import { listDrainingHosts, listUsableHosts } from '../../../hosts/hosts.ts';
import { listSupervisors } from '../../../registry/supervisors.ts';
import { listHostsWithoutSupervisor } from '../../components/hosts-without-supervisor.ts';
import { unusableText } from '../../components/usable-hosts.ts';
import type { Upgrade } from '../../state/upgrade-store.ts';
import { drainedText } from '../drained-hosts.ts';
import { type CheckOptions, error, type Finding, passed } from './check.ts';

/** New instances can be placed where their credentials can come to: here, or on a host that joined. */
export async function checkHosts(
  { db, host, release }: Pick<CheckOptions, 'db' | 'host' | 'release'>,
  upgrade: Pick<Upgrade, 'plan'>,
): Promise<Finding> {
  const drained = drainedText(upgrade.plan.instances, await listDrainingHosts(db));
  if (drained !== undefined) return error(drained);
  const joined = await listUsableHosts(db);
  const usable = [host, ...joined];
  const elsewhere = upgrade.plan.instances.filter(
    (planned) => planned.origin !== 'reused' && !usable.includes(planned.host),
  );
  if (elsewhere.length > 0) {
    const planned = elsewhere.map((instance) => `${instance.name} on ${instance.host}`).join(', ');
    return error(
      `These instances are planned on a host that is not usable: ${planned}, ${unusableText(usable)}. Plan them elsewhere.`,
    );
  }
  const away = await awayHosts(db, { host, joined: [...joined, ...(await listDrainingHosts(db))] });
  if (away.length > 0) {
    return error(
      `The supervisors of ${away.join(', ')} have ended or have not reported recently, so nothing there would be upgraded. Start them ` +
        '(`bramble up` there), or move what runs there away and remove the hosts.',
    );
  }
  const present = await hostsWithRelease(db, release);
  const missing = joined.filter((name) => !present.includes(name));
  const seen = (await listSupervisors(db)).filter(({ seenAt }) => seenAt !== null).map((one) => one.host);
  const neverStarted = missing.filter((name) => !seen.includes(name));
  if (neverStarted.length > 0) {
    return error(
      `${neverStarted.join(', ')} joined the domain and was never started, so release ${release} does not come there. Start it ` +
        `(\`bramble up\` there), or remove it (\`bramble host remove ${neverStarted[0]}\`).`,
    );
  }
  if (missing.length > 0) {
    return error(
      `Release ${release} is not on ${missing.join(', ')} yet. Wait a minute and start again. If it still is not there, the log of the ` +
        'supervisor there says why, such as a signer that the host refuses; `bramble release install ARCHIVE` there installs it by hand.',
    );
  }
  if (joined.length > 0) return passed(`all hosts are at work, and release ${release} is on each that joined`);
  return passed(upgrade.plan.inPlace ? 'no instance is added' : 'new instances are on this host');
}

/** Of those on which something is to run, besides this one; a supervisor of a host that joined has a session as long as it runs. */
async function awayHosts(q: Queryable, { host, joined }: { host: string; joined: readonly string[] }) {
  const [supervisors, gone] = await Promise.all([listSupervisors(q), listHostsWithoutSupervisor(q)]);
  return supervisors
    .filter((one) => one.wanted && one.host !== host && one.release !== null)
    .filter((one) => !one.atWork || (joined.includes(one.host) && gone.includes(one.host)))
    .map((one) => one.host);
}

const minFreeBytes = 512 * 1024 * 1024;
const mebibytes = (bytes: number) => Math.floor(bytes / 1024 / 1024);

/**
 * A migration may build an index of the largest table, or rewrite it, beside what is there: an embedded database needs room for
 * that in this home.
 */
export async function checkDiskRoom({ db, home }: Pick<CheckOptions, 'db' | 'home'>): Promise<Finding> {
  const { bavail, bsize } = await statfs(home);
  const free = bavail * bsize;
  const isEmbedded = (await readCluster(join(home, 'postgres'))) !== null;
  const largest = isEmbedded ? await readLargestTable(db) : 0;
  const needed = minFreeBytes + largest;
  const why = isEmbedded ? `, ${mebibytes(largest)} MiB of them for as much as the largest table` : '';
  if (free < needed) {
    return error(
      `Only ${mebibytes(free)} MiB are free below ${home}; at least ${mebibytes(needed)} MiB are needed${why}.`,
    );
  }
  const found = `${mebibytes(free)} MiB are free on this host, and ${mebibytes(needed)} MiB needed${why}`;
  return passed(isEmbedded ? found : `${found}; the database’s host is not checked`);
}

/** With its indexes. */
async function readLargestTable(db: Database): Promise<number> {
  const [row] = await db<{ bytes: number }[]>`
    select coalesce(max(pg_total_relation_size(c.oid)), 0)::float8 as bytes from pg_class c
     where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace`;
  return row?.bytes ?? 0;
}

export async function checkMasterKey({ db, home }: CheckOptions): Promise<Finding> {
  await loadAuthorities(db, await readMasterKeys(join(home, 'keys', 'master.json')));
  return passed('the master key opens the domain’s authorities');
}
