/**
 * Starts a release on a copy of the domain: its administration service, as the supervisor would, and asks it for what is
 * in the domain. The copy has a home and a database of its own, which go away afterwards, and is an isolated one (`isolated-copy.ts`).
 */
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createToken } from '../access/administrator-tokens.ts';
import { accountOperations } from '../api/accounts.ts';
import { auditOperations } from '../api/audit.ts';
import { createAdministrationClient } from '../api/client.ts';
import { deviceOperations } from '../api/devices.ts';
import { domainOperations } from '../api/domain.ts';
import { itPolicyOperations } from '../api/it-policies.ts';
import { counted } from '../base/counted.ts';
import { BrambleError } from '../base/errors.ts';
import { announcedAddresses } from '../component/service-address.ts';
import type { Database } from '../database/connection.ts';
import { readMasterKeys } from '../database/sealed-value.ts';
import { loadAuthorities } from '../domain/authorities.ts';
import { startProcess } from '../processes/supervisor/supervised-process.ts';
import { isolateCopy } from './isolated-copy.ts';

const name = 'backup-verification';
const startLimitMs = 120_000;
/** For the verification of a long audit. */
const answerLimitMs = 30 * 60_000;

interface Copy {
  /** As {@link prepareCopy} returned it. */
  token: string;
  /** With the keys of the backup. */
  home: string;
  databaseUrl: string;
  release: string;
  /** Where the release is installed. */
  releases: string;
}

interface StartedOnCopy {
  /** What was done, in words. */
  said: string;
  /** From the start of the process until it served. */
  startMs: number;
}

/** An error that says what the failure means. */
export type Failed = (what: string) => Error;

export const notVerified: Failed = (what) =>
  new BrambleError('ERR_BACKUP_UNUSABLE', `${what} The backup is not verified.`);

/**
 * Once, before anything is started: isolates it, and sees whether its keys open what they must.
 * @returns a token for its administration
 */
export async function prepareCopy(db: Database, home: string): Promise<string> {
  await loadAuthorities(db, await readMasterKeys(join(home, 'keys', 'master.json')));
  await isolateCopy(db, home);
  return await createToken(db, `${name}-${Date.now().toString(36)}`);
}

/** @throws BrambleError ERR_RELEASE_NOT_INSTALLED, or what `failed` makes */
export async function startReleaseOn(copy: Copy, failed: Failed): Promise<StartedOnCopy> {
  const { home, databaseUrl, release, token } = copy;
  await mkdir(join(home, 'releases'), { recursive: true });
  await symlink(join(copy.releases, release), join(home, 'releases', release));
  const startedAt = performance.now();
  const started = await startProcess(
    { name, kind: 'administration', release, settings: {}, databaseUrl },
    { home, host: name, sockets: [], hungAfterMs: startLimitMs },
  );
  try {
    const ended = started.exited.then(({ code }) => {
      throw failed(`The administration service of ${release} did not start on the copy; it exited with ${code}.`);
    });
    ended.catch(() => {});
    const late = AbortSignal.timeout(startLimitMs);
    const tooLate = new Promise<never>((_, reject) =>
      late.addEventListener('abort', () =>
        reject(
          failed(
            `The administration service of ${release} did not answer within ${startLimitMs / 1000} s on the copy. Try again ` +
              'on a computer with less to do.',
          ),
        ),
      ),
    );
    tooLate.catch(() => {});
    await Promise.race([started.ready, ended, tooLate]);
    const startMs = performance.now() - startedAt;
    return { said: await Promise.race([readDomainThrough(home, release, token, failed), ended]), startMs };
  } finally {
    await started.stop(10_000);
  }
}

async function readDomainThrough(home: string, release: string, token: string, failed: Failed): Promise<string> {
  const [url = ''] = await announcedAddresses(home);
  const client = createAdministrationClient({ choose: async () => ({ url, token }), timeoutMs: answerLimitMs });
  const { domain } = await client.call(domainOperations.status, {});
  const { accounts } = await client.call(accountOperations.list, { query: { limit: 1000 } });
  const { devices } = await client.call(deviceOperations.list, { query: {} });
  await client.call(itPolicyOperations.list, {});
  const audit = await client.call(auditOperations.verify, {});
  if (audit.faults > 0) {
    throw failed(
      `On the copy the audit has ${audit.faults} faults, the first: ${audit.findings[0]?.message ?? ''} \`bramble audit ` +
        'verify` shows whether the domain itself has them.',
    );
  }
  return (
    `the administration service of ${release} started on it, listed ${counted(accounts.length, 'account')} and ` +
    `${counted(devices.length, 'device')} of "${domain.name}", and found the audit intact (${audit.sealed} records)`
  );
}
