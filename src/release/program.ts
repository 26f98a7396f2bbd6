/** Where the running program is: an unpacked release, or a checkout in development. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BrambleError } from '../base/errors.ts';

/**
 * The nearest folder above this code that contains the migrations: the one with `bramble.mjs` in an unpacked release,
 * the root of the checkout in development. Contains `sql/`.
 * @throws BrambleError ERR_RELEASE_INCOMPLETE when there is none.
 */
export function programFolder(): string {
  const own = path.dirname(fileURLToPath(import.meta.url));
  for (let folder = own; folder !== path.dirname(folder); folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, 'sql'))) {
      return folder;
    }
  }
  throw new BrambleError(
    'ERR_RELEASE_INCOMPLETE',
    `The program at ${own} has no folder "sql" beside it: install the release again.`,
  );
}

/** The folder of this program's migrations. */
export function migrationFolder(): string {
  return path.join(programFolder(), 'sql');
}
