/** Files named on the command line to be written. One that cannot be is reported before anything else is done. */
import { constants } from 'node:fs';
import { access, lstat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { BrambleError } from './errors.ts';

/** For what is shown only once: it would be lost. @throws BrambleError ERR_INPUT unless the file can be made */
export async function assertNewFile(path: string, option: string): Promise<void> {
  const folder = dirname(resolve(path));
  const cannot = async () => {
    if (await isThere(path)) return `${path} is there already. Name another file with ${option}, or remove this one.`;
    const problem = await access(folder, constants.W_OK | constants.X_OK).catch(
      (error: NodeJS.ErrnoException) => error,
    );
    if (problem === undefined) return undefined;
    return problem.code === 'ENOENT'
      ? `There is no folder ${folder}. Make it, or name another file with ${option}.`
      : `${path} cannot be written: ${problem.message}. Name another file with ${option}.`;
  };
  const why = await cannot();
  if (why !== undefined) throw new BrambleError('ERR_INPUT', `${why} Nothing was done.`);
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}
