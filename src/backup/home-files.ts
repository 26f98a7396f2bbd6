/**
 * What of the home belongs into a backup: keys, credentials, configuration, and the audit's heads; no releases, logs or
 * data of PostgreSQL. In a backup they stand as one JSON document, which is encrypted as a whole.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import * as z from 'zod';
import { writeDurably } from '../base/durable-file.ts';
import { BrambleError } from '../base/errors.ts';

const folders = ['keys', 'credentials', 'router', 'database'] as const;
export const configurationFile = 'config.json';
/** With an administrator's token. */
export const accessFile = 'admin.json';
const files = [configurationFile, accessFile, 'audit/heads.jsonl'] as const;

/** Plain names below the folders above: nothing that could lie elsewhere. */
const homePath = z
  .string()
  .max(300)
  .regex(
    /^(?:(?:keys|credentials|router|database)(?:\/[A-Za-z0-9_][A-Za-z0-9._-]*)+|config\.json|admin\.json|audit\/heads\.jsonl)$/,
  );

/** Contents by path. */
export const homeFilesShape = z.record(homePath, z.base64());
export type HomeFiles = z.output<typeof homeFilesShape>;

/**
 * To be called before the snapshot is taken: a head that is not in the file yet is missing nowhere, while one that is later
 * than the rows would be missed in them.
 * @throws BrambleError ERR_CONFIGURATION when the home has no configuration or no master key
 */
export async function readHomeFiles(home: string): Promise<HomeFiles> {
  const found: HomeFiles = {};
  for (const folder of folders) {
    const entries = await readdir(join(home, folder), { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries.filter((each) => each.isFile())) {
      const path = join(entry.parentPath, entry.name);
      const name = relative(home, path);
      if (homePath.safeParse(name).success) found[name] = await readFile(path, 'base64');
    }
  }
  for (const name of files) {
    const contents = await readFile(join(home, name), 'base64').catch(() => undefined);
    if (contents !== undefined) found[name] = contents;
  }
  for (const needed of [configurationFile, 'keys/master.json']) {
    if (found[needed] === undefined) {
      throw new BrambleError(
        'ERR_CONFIGURATION',
        `${home} has no ${needed}: make the backup on a host whose home has the domain's keys.`,
      );
    }
  }
  return found;
}

/** Writes them, for their owner alone. */
export async function writeHomeFiles(home: string, found: HomeFiles): Promise<void> {
  for (const [name, contents] of Object.entries(found)) {
    const path = join(home, name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeDurably(path, Buffer.from(contents, 'base64'), { mode: 0o600, flag: 'wx' });
  }
}
