/**
 * For tests only: third-party programs that tests use. If one is missing, its tests are skipped; with
 * BRAMBLE_TEST_CLIENTS=required they run anyway, and fail.
 */
import { spawnSync } from 'node:child_process';

export const areClientsRequired = process.env['BRAMBLE_TEST_CLIENTS'] === 'required';

/**
 * What is missing on this machine, as the reason for a skip; false when everything is installed, or is required to be.
 */
export function lacks(...programs: string[]): string | false {
  if (areClientsRequired) return false;
  const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined);
  return missing.length === 0 ? false : `not on this machine: ${missing.join(', ')}`;
}
