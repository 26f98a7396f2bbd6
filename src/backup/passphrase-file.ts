/** A passphrase in the first line of a file. */
import { stat } from 'node:fs/promises';
import { BrambleError } from '../base/errors.ts';
import { readInputFile } from '../base/input-file.ts';

/** @throws BrambleError ERR_INPUT for a file that cannot be read, ERR_BACKUP_PASSPHRASE */
export async function readPassphraseFile(path: string): Promise<string> {
  const [line = ''] = (await readInputFile(path)).split(/\r?\n/);
  if (line !== '') return line;
  throw new BrambleError('ERR_BACKUP_PASSPHRASE', `The first line of ${path} is empty: write the passphrase there.`);
}

/** One that stays where it is, for the schedule: nobody else may read it. @throws as {@link readPassphraseFile} */
export async function readKeptPassphrase(path: string): Promise<string> {
  const passphrase = await readPassphraseFile(path);
  const { mode } = await stat(path);
  if ((mode & 0o077) === 0) return passphrase;
  throw new BrambleError(
    'ERR_BACKUP_PASSPHRASE',
    `Others may read ${path}, which holds the passphrase of the scheduled backups: \`chmod 600 ${path}\`.`,
  );
}
