/**
 * Releases that are wanted here and not installed yet: a host that joined fetches them from the database. Until then what runs
 * of an earlier release keeps running.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { openDatabase } from '../../database/connection.ts';
import { fetchRelease, hostSignerFile } from '../../distribution/release-fetch.ts';
import { manifestName } from '../../release/manifest.ts';
import type { OnEvent } from './events.ts';

export interface MissingReleases {
  /** Whether processes of it must wait; it is being fetched then. False on a host that did not join: there an operator installs it. */
  awaits(release: string, databaseUrl: string): boolean;
}

export function createMissingReleases(home: string, host: string, onEvent: OnEvent): MissingReleases {
  const fetching = new Set<string>();
  /** What was last told of each. */
  const told = new Map<string, string>();

  async function fetch(release: string, databaseUrl: string): Promise<void> {
    const applicationName = `bramble/supervisor@${host}#${process.pid}`.slice(0, 63);
    const db = openDatabase(databaseUrl, { applicationName, max: 1 });
    try {
      if (await fetchRelease(db, home, release)) onEvent({ type: 'release-fetched', release });
      else tell(release, 'ERR_RELEASE_NOT_INSTALLED', 'it is not in the database yet');
    } catch (error) {
      tell(release, isBrambleError(error) ? error.code : 'ERR_DATABASE', messageOf(error));
    } finally {
      await db.end({ timeout: 5 }).catch(() => undefined);
      fetching.delete(release);
    }
  }

  function tell(release: string, code: string, message: string): void {
    if (told.get(release) === message) return;
    told.set(release, message);
    onEvent({ type: 'release-not-fetched', release, code, message });
  }

  return {
    awaits(release, databaseUrl) {
      if (existsSync(path.join(home, 'releases', release, manifestName)) || !existsSync(hostSignerFile(home)))
        return false;
      if (!fetching.has(release)) {
        fetching.add(release);
        void fetch(release, databaseUrl);
      }
      return true;
    },
  };
}
