/** Secrets come from files or standard input: what is typed as an argument is seen by everybody on the host. */
import { readInputFile } from '../base/input-file.ts';
import type { Frame } from './frame.ts';

/** The text of the file, or of standard input for `-`, without the line break at its end. @throws as {@link readInputFile} */
export async function typedSecret(frame: Pick<Frame, 'input'>, path: string): Promise<string> {
  const text = path === '-' ? await standardInput(frame) : await readInputFile(path);
  return text.replace(/\r?\n$/, '');
}

async function standardInput({ input }: Pick<Frame, 'input'>): Promise<string> {
  const pieces: string[] = [];
  for await (const piece of input) pieces.push(piece.toString());
  return pieces.join('');
}
