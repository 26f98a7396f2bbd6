/** Input files named on the command line. An unreadable one is reported before anything else is done. */
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { BrambleError } from './errors.ts';

/**
 * Opens the file before any service is called.
 * @throws BrambleError ERR_INPUT with what is wrong with the path
 */
export async function openInputFile(path: string): Promise<Readable> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    if ((await file.stat()).isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
    return file.createReadStream();
  } catch (error) {
    await file?.close();
    throw notReadable(path, error as NodeJS.ErrnoException);
  }
}

/** The whole text. @throws as {@link openInputFile} */
export async function readInputFile(path: string): Promise<string> {
  const pieces = await (await openInputFile(path)).toArray();
  return Buffer.concat(pieces as Buffer[]).toString();
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
};

function notReadable(path: string, error: NodeJS.ErrnoException): BrambleError {
  return new BrambleError('ERR_INPUT', `"${path}" cannot be read: ${reasons[error.code ?? ''] ?? error.message}.`, {
    cause: error,
  });
}
