/** Checks of this host: what is planned for it, and what it has. */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { readMasterKeys } from '../../../database/sealed-value.ts';
import { loadAuthorities } from '../../../domain/authorities.ts';
import type { Upgrade } from '../../state/upgrade-store.ts';
import { type CheckOptions, error, type Finding, passed } from './check.ts';

export async function checkHosts({ host }: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  const elsewhere = upgrade.plan.instances.filter((instance) => instance.host !== host);
  return elsewhere.length === 0
    ? passed(upgrade.plan.inPlace ? 'no instance is added' : 'new instances are on this host')
    : error(
        `SRP credentials can be installed only on this host (${host}), but these instances are planned elsewhere: ` +
          `${elsewhere.map((instance) => `${instance.name} on ${instance.host}`).join(', ')}. Plan them here.`,
      );
}

const minFreeBytes = 512 * 1024 * 1024;

export async function checkDiskRoom({ home }: CheckOptions): Promise<Finding> {
  const { bavail, bsize } = await statfs(home);
  const mebibytes = Math.floor((bavail * bsize) / 1024 / 1024);
  return bavail * bsize < minFreeBytes
    ? error(`Only ${mebibytes} MiB are free below ${home}; at least ${minFreeBytes / 1024 / 1024} MiB are needed.`)
    : passed(`${mebibytes} MiB are free on this host; the database’s host is not checked`);
}

export async function checkMasterKey({ db, home }: CheckOptions): Promise<Finding> {
  await loadAuthorities(db, await readMasterKeys(join(home, 'keys', 'master.json')));
  return passed('the master key opens the domain’s authorities');
}
