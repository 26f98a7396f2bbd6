/**
 * Cuts a copy of the domain off from everything that the domain reaches, before anything is started on it.
 *
 * Invariant: what runs on it reaches nobody. The credentials and the domain name a router that there is not, and no other; no device has an
 * address to be woken at; nobody is a target of notices, or asked who somebody is.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { forgetProviders } from '../access/openid/copied-providers.ts';
import { endCopiedSignIns } from '../access/sign-in/copied-sign-ins.ts';
import type { Database } from '../database/connection.ts';
import { forgetWakeAddresses } from '../devices/copied-devices.ts';
import { forgetRequests } from '../instances/copied-credentials.ts';
import { forgetTargets } from '../notices/copied-domain.ts';
import { forgetRouters } from '../routers/copied-routers.ts';

/** A port that nothing listens on, and nothing unprivileged could. */
const nobody = { host: '127.0.0.1', port: 1, serverName: 'router.bramble.internal' };

export async function isolateCopy(db: Database, home: string): Promise<void> {
  await forgetWakeAddresses(db);
  await forgetTargets(db);
  await endCopiedSignIns(db);
  await forgetProviders(db);
  await forgetRequests(db);
  await forgetRouters(db, nobody);
  const folder = join(home, 'credentials');
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const credential = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...credential, routers: [nobody] }));
  }
}
