/** The releases in a home, each in a folder of its own with a manifest. */
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { isReleaseNumber } from '../../base/release-number.ts';
import { manifestName } from '../../release/manifest.ts';
import { signatureSuffix } from '../../release/signature.ts';

interface InstalledReleases {
  has(release: string): boolean;
  /** By number as text. */
  list(): Promise<string[]>;
  /** With its signature. */
  remove(release: string): Promise<void>;
}

export function installedReleases(home: string): InstalledReleases {
  const folder = path.join(home, 'releases');
  const has = (release: string) => existsSync(path.join(folder, release, manifestName));
  return {
    has,
    list: async () => {
      const names = await readdir(folder).catch((): string[] => []);
      return names.filter((name) => isReleaseNumber(name) && has(name)).sort();
    },
    remove: async (release) => {
      await rm(path.join(folder, release), { recursive: true, force: true });
      await rm(path.join(folder, `${release}${signatureSuffix}`), { force: true });
    },
  };
}
