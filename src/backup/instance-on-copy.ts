/**
 * An instance of a release on a copy of the domain: it registers, prepares and plans its statements on every connection, and its
 * policy service takes up what is owed. Instances, not administration services, are what stays at work for days beside the other
 * release. The copy is an isolated one (`isolated-copy.ts`).
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../database/connection.ts';
import { credentialPath } from '../link/credential.ts';
import { startProcess } from '../processes/supervisor/supervised-process.ts';
import { listComponents } from '../registry/components.ts';
import { type DesiredProcess, listDesiredProcesses } from '../registry/desired-processes.ts';
import type { Failed } from './release-on-copy.ts';

const limitMs = 120_000;

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

/** What was done, in words. @throws what `failed` makes, when it does not work on the copy */
export async function startInstanceOn(
  { db, databaseUrl, home, release }: InstanceCopy,
  wanted: DesiredProcess,
  failed: Failed,
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
        throw failed(`The instance ${name} of ${release} did not start on the copy; it exited with ${code}.`);
      }
      if (performance.now() > deadline) {
        throw failed(`The instance ${name} of ${release} was not at work on the copy within ${limitMs / 1000} s.`);
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
