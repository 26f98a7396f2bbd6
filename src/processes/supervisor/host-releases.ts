/**
 * The releases on this host. On one that joined, the supervisor fetches what the database holds and removes what nobody wants any
 * more. On the host where the domain was created it fetches what is wanted and missing, once others have joined, and removes nothing.
 * Until a wanted release is there, what runs of an earlier one keeps running. Every host reports which it has.
 */
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { isUndefinedTable } from '../../database/sql-state.ts';
import { fetchesReleases } from '../../distribution/host-signer.ts';
import { fetchRelease } from '../../distribution/release-fetch.ts';
import { reportReleases } from '../../distribution/release-report.ts';
import { storedReleases } from '../../distribution/release-store.ts';
import { hasJoined } from '../../hosts/host-key.ts';
import type { OnEvent } from './events.ts';
import { installedReleases } from './installed-releases.ts';

export interface HostReleases {
  /** Whether processes of it must wait until it is fetched. False while no host has joined: then an operator installs it. */
  awaits(release: string): boolean;
  /** Looks, at most every ten seconds unless a wanted release is missing. Never rejects. */
  look(databaseUrl: string, wanted: readonly string[]): void;
}

interface HostReleasesOptions {
  home: string;
  host: string;
  /** Of this supervisor, which runs from it. */
  release: string;
  onEvent: OnEvent;
}

const lookEveryMs = 10_000;

export function createHostReleases({ home, host, release: own, onEvent }: HostReleasesOptions): HostReleases {
  const installed = installedReleases(home);
  /** What was last told of each. */
  const told = new Map<string, string>();
  /** What this supervisor told the database. Where it asks there anyway it tells again: a failover or a restore may have lost it. */
  let reported: string | undefined;
  let looking = false;
  let lookAtMs = 0;

  function follows(wanted: readonly string[]): boolean {
    if (!fetchesReleases(home)) return false;
    return hasJoined(home) || wanted.some((release) => !installed.has(release));
  }

  async function turn(databaseUrl: string, wanted: readonly string[]): Promise<void> {
    const isFollowing = follows(wanted);
    // On an idle host that did not join there is nothing to ask or to tell.
    if (!isFollowing && (await installed.list()).join() === reported) return;
    const applicationName = `bramble/supervisor@${host}#${process.pid}`.slice(0, 63);
    const db = openDatabase(databaseUrl, { applicationName, max: 1 });
    try {
      if (isFollowing) await follow(db, wanted);
      const present = await installed.list();
      await reportReleases(db, host, present);
      reported = present.join();
    } catch (error) {
      // Before an upgrade has expanded the schema there is nothing to look at, and nowhere to report.
      if (!isUndefinedTable(error)) tell('all', error);
    } finally {
      await db.end({ timeout: 5 }).catch(() => undefined);
    }
  }

  async function follow(db: Database, wanted: readonly string[]): Promise<void> {
    const stored = [...(await storedReleases(db)).keys()];
    const fetched = new Set([...wanted, ...(hasJoined(home) ? stored : [])]);
    for (const release of fetched) if (!installed.has(release)) await fetch(db, release);
    if (!hasJoined(home)) return;
    const kept = new Set([own, ...wanted, ...stored]);
    for (const release of await installed.list()) {
      if (kept.has(release)) continue;
      await installed.remove(release);
      onEvent({ type: 'release-removed', release });
    }
  }

  async function fetch(db: Database, release: string): Promise<void> {
    try {
      if (await fetchRelease(db, home, release)) onEvent({ type: 'release-fetched', release });
      else tell(release, 'it is not in the database yet');
    } catch (error) {
      tell(release, error);
    }
  }

  function tell(release: string, reason: unknown): void {
    const message = typeof reason === 'string' ? reason : messageOf(reason);
    if (told.get(release) === message) return;
    told.set(release, message);
    const code = isBrambleError(reason) ? reason.code : 'ERR_RELEASE_NOT_INSTALLED';
    onEvent({ type: 'release-not-fetched', release, code, message });
  }

  return {
    awaits: (release) => !installed.has(release) && fetchesReleases(home),
    look(databaseUrl, wanted) {
      const isMissing = wanted.some((release) => !installed.has(release)) && fetchesReleases(home);
      if (looking || (!isMissing && performance.now() < lookAtMs)) return;
      looking = true;
      void turn(databaseUrl, wanted).finally(() => {
        looking = false;
        lookAtMs = performance.now() + lookEveryMs;
      });
    },
  };
}
