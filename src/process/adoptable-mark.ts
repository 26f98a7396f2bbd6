/**
 * The file by which a supervisor sees that this process can be adopted; a process of 1.1 has none.
 *
 * Invariant: a failure to write it is logged once and tried again, and no file is left half written.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { birthOf } from '../base/process-facts.ts';
import { adoptableFolder } from './adoption-messages.ts';
import type { OwnProcess } from './own-process.ts';

const notMarked =
  'cannot record that this process can be adopted: the next supervisor will not wait for it, and it cannot be ' +
  'replaced without an interruption';

export class AdoptableMark {
  readonly #own: OwnProcess;
  #file: string | undefined;
  #writing: Promise<void> | undefined;
  #reported = false;

  constructor(own: OwnProcess) {
    this.#own = own;
  }

  /** Writes the file unless it is there or being written. */
  ensure(): void {
    if (this.#file === undefined) this.#writing ??= this.#write();
  }

  async remove(): Promise<void> {
    await this.#writing;
    if (this.#file !== undefined) await rm(this.#file, { force: true }).catch(() => undefined);
  }

  async #write(): Promise<void> {
    try {
      this.#file = await markAdoptable(this.#own);
    } catch (error) {
      if (!this.#reported) this.#own.log?.warn({ error: messageOf(error) }, notMarked);
      this.#reported = true;
    }
    this.#writing = undefined;
  }
}

async function markAdoptable({ home, name }: OwnProcess): Promise<string> {
  const folder = adoptableFolder(home);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `${process.pid}.json`);
  const birth = await birthOf(process.pid);
  try {
    await writeFile(file, JSON.stringify({ pid: process.pid, birth, name }), { mode: 0o600 });
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
  return file;
}
