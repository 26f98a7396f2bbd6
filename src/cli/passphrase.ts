/**
 * The passphrase of a backup: from a file, or typed without being shown. Never from an argument, which every user of the
 * computer can see, and which stays in the shell's history.
 */
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Command } from 'commander';
import { BrambleError } from '../base/errors.ts';
import { isTerminal } from './confirmation.ts';
import type { CommandStreams } from './frame.ts';

export interface PassphraseFlags {
  passphraseFile?: string;
}

export function withPassphrase(command: Command): Command {
  return command.option('--passphrase-file <file>', 'the passphrase, in the first line of a file (default: asked for)');
}

/**
 * @param twice whether to ask twice, for a new one
 * @throws BrambleError ERR_INPUT for a file that cannot be read, ERR_BACKUP_PASSPHRASE
 */
export async function readPassphrase(
  streams: CommandStreams,
  { passphraseFile }: PassphraseFlags,
  { twice }: { twice: boolean },
): Promise<string> {
  if (passphraseFile !== undefined) {
    const { readPassphraseFile } = await import('../backup/passphrase-file.ts');
    return await readPassphraseFile(passphraseFile);
  }
  if (!isTerminal(streams)) {
    throw new BrambleError(
      'ERR_BACKUP_PASSPHRASE',
      'There is no terminal to type the passphrase at: name a file with it, --passphrase-file.',
    );
  }
  const typed = await ask(streams, 'Passphrase of the backup: ');
  if (twice && typed !== (await ask(streams, 'Once more: '))) {
    throw new BrambleError('ERR_BACKUP_PASSPHRASE', 'The two passphrases differ. Nothing was done.');
  }
  return typed;
}

/**
 * Of a backup that there is: nobody is asked for the passphrase of another file.
 * @throws BrambleError ERR_BACKUP_FILE, and as {@link readPassphrase}
 */
export async function passphraseOf(file: string, streams: CommandStreams, flags: PassphraseFlags): Promise<string> {
  const { readBackupHead } = await import('../backup/backup-file.ts');
  await readBackupHead(resolve(file));
  return await readPassphrase(streams, flags, { twice: false });
}

async function ask({ input, errors }: CommandStreams, question: string): Promise<string> {
  errors.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: silent, terminal: true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
    errors.write('\n');
  }
}
