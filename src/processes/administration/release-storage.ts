/**
 * Stores in the database the releases that other hosts fetch from there. Every turn starts from the database, so several
 * administration services may do this at once.
 */
import { join } from 'node:path';
import { recorded } from '../../access/audit/record.ts';
import type { Database } from '../../database/connection.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import { fetchesReleases, writeHostSigner } from '../../distribution/host-signer.ts';
import { pruneStored, storedReleases, storeRelease } from '../../distribution/release-store.ts';
import { readReleaseSigner } from '../../domain/release-signer.ts';
import { listHosts } from '../../hosts/hosts.ts';
import type { Logger } from '../../process/log/logger.ts';
import { listDesiredProcesses } from '../../registry/desired-processes.ts';
import { readInstalled } from '../../release/archive.ts';
import { readOpenUpgrade } from '../../upgrade/state/upgrade-store.ts';

interface ReleaseStorage {
  db: Database;
  release: string;
  /** This component, and its host. */
  name: string;
  host: string;
  home: string;
  log: Logger;
}

/** Stores the release of this process, if there is a host that may need it. It is that of the domain, and of what is to run. */
export function createReleaseStorage(storage: ReleaseStorage): () => Promise<void> {
  /** Which two builds were told to differ. */
  let told: string | undefined;
  return async () => {
    const { db, release, home, log } = storage;
    if ((await listHosts(db)).length === 0) return;
    await acceptReleases(db, home);
    const stored = await storedReleases(db);
    const there = stored.get(release);
    const own = there === undefined ? there : (await readInstalled(join(home, 'releases', release))).manifestSha256;
    const differing = own === there ? undefined : `${there} ${own}`;
    // Which of them is meant is not known here, and two services would replace each other's for ever.
    if (differing !== undefined && differing !== told) {
      log.warn(
        { release, stored: there, own },
        'the database holds another build of this release, which other hosts fetch; one of the two hosts has to be given the other build',
      );
    }
    told = differing;
    await storeOwnRelease(storage, stored);
  };
}

async function storeOwnRelease(
  { db, release, name, host, home, log }: ReleaseStorage,
  stored: ReadonlyMap<string, string>,
): Promise<void> {
  const wanted = await wantedReleases(db, release);
  if (stored.has(release) && [...stored.keys()].every((one) => wanted.includes(one))) return;
  await administrationTransaction(db, release, (tx) =>
    recorded(
      tx,
      {
        actor: name,
        operation: 'release store',
        subjects: [release],
        from: { component: name, host },
        when: 'changed',
      },
      async () => {
        await pruneStored(tx, wanted);
        if (!stored.has(release)) await storeRelease(tx, home, release);
      },
    ),
  );
  log.info({ release, wanted }, 'releases were stored for other hosts, and old ones removed');
}

/** From now on this home takes releases from other hosts, as those that joined do: from whom the domain does at this moment. */
async function acceptReleases(db: Database, home: string): Promise<void> {
  if (fetchesReleases(home)) return;
  const { fingerprint, unsigned, refused } = await readReleaseSigner(db);
  const manifests = unsigned.map(({ manifest }) => manifest);
  await writeHostSigner(home, { fingerprint, refused, unsigned: manifests });
}

/** What runs, is to run, or is what an open upgrade leads to. */
async function wantedReleases(db: Database, own: string): Promise<string[]> {
  const [desired, upgrade] = await Promise.all([listDesiredProcesses(db), readOpenUpgrade(db)]);
  const ofUpgrade = upgrade === undefined ? [] : [upgrade.fromRelease, upgrade.toRelease];
  return [...new Set([own, ...desired.map((process) => process.release), ...ofUpgrade])];
}
