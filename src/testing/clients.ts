/**
 * For tests only: programs of others that a test works with. Where one is missing its tests are skipped; with
 * BRAMBLE_TEST_CLIENTS=required they are run all the same, and fail.
 */
import { spawnSync } from 'node:child_process';

export const areClientsRequired = process.env['BRAMBLE_TEST_CLIENTS'] === 'required';

/** What is missing on this machine, as the reason of a skip; false when all is there, or must be. */
export function lacks(...programs: string[]): string | false {
  if (areClientsRequired) return false;
  const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined);
  return missing.length === 0 ? false : `not on this machine: ${missing.join(', ')}`;
}
