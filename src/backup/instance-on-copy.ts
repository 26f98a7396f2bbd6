/**
 * An instance of a release on a copy of the domain: it registers, prepares and plans its statements on every connection, and its
 * policy service takes up what is owed. Instances, not administration services, are what stays at work for days beside the other
 * release.
 *
 * Invariant: it reaches nobody. The copy's credentials name a router that there is not, and no device has an address to be
 * woken at.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../database/connection.ts';
import { forgetWakeAddresses } from '../devices/copied-devices.ts';
import { credentialPath } from '../link/credential.ts';
import { startProcess } from '../processes/supervisor/supervised-process.ts';
import { listComponents } from '../registry/components.ts';
import { type DesiredProcess, listDesiredProcesses } from '../registry/desired-processes.ts';

/** A port that nothing listens on, and nothing unprivileged could. */
const nobody = { host: '127.0.0.1', port: 1, serverName: 'router.bramble.internal' };
const limitMs = 120_000;

/** Once, before anything is started that dials or wakes. */
export async function isolateCopy(db: Database, home: string): Promise<void> {
  await forgetWakeAddresses(db);
  const folder = join(home, 'credentials');
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const credential = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...credential, routers: [nobody] }));
  }
}

/** One whose credential is in the copy; undefined if all of them are of other hosts. */
export async function findInstance(db: Database, home: string): Promise<DesiredProcess | undefined> {
  for (const wanted of await listDesiredProcesses(db)) {
    const identifier = (wanted.settings as Record<string, unknown>)['srpIdentifier'];
    if (wanted.kind !== 'server' || wanted.state !== 'running' || typeof identifier !== 'string') continue;
    if (await readFile(credentialPath(home, identifier)).catch(() => undefined)) return wanted;
  }
  return undefined;
}

interface InstanceCopy {
  db: Database;
  databaseUrl: string;
  home: string;
  release: string;
}

/** What was done, in words. @throws Error that says why it does not work on the copy */
export async function startInstanceOn(
  { db, databaseUrl, home, release }: InstanceCopy,
  wanted: DesiredProcess,
): Promise<string> {
  const { name, host } = wanted;
  const settings = { ...(wanted.settings as object), port: 0 };
  const started = await startProcess(
    { name, kind: 'server', release, settings, databaseUrl },
    { home, host, sockets: [], hungAfterMs: limitMs },
  );
  try {
    const deadline = performance.now() + limitMs;
    while (!(await isAtWork(db, name, release))) {
      if (started.hasExited()) {
        const { code } = await started.exited;
        throw new Error(`The instance ${name} of ${release} did not start on the copy; it exited with ${code}.`);
      }
      if (performance.now() > deadline) {
        throw new Error(`The instance ${name} of ${release} was not at work on the copy within ${limitMs / 1000} s.`);
      }
      await delay(50);
    }
  } finally {
    await started.stop(10_000);
  }
  return `its instance ${name} started on it, and its policy service worked`;
}

/** What its policy service counts is in its first sign of life after it began to work. */
async function isAtWork(db: Database, name: string, release: string): Promise<boolean> {
  const components = await listComponents(db);
  return components.some(
    (component) =>
      component.name === name &&
      component.alive &&
      component.release === release &&
      'policyService' in component.detail,
  );
}
