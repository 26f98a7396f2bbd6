/** Output for a newly added holder of an SRP credential: a server instance or a connection service. */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { readAnswer } from '../../api/client.ts';
import { instanceOperations } from '../../api/instances.ts';
import type { Frame } from '../frame.ts';

/** Shows the answer, and shows or writes the credential if it is for another host. */
export async function showHolder(
  frame: Frame,
  command: Command,
  answer: unknown,
  file: string | undefined,
): Promise<void> {
  // Both operations answer the same.
  const made = readAnswer(instanceOperations.add, answer);
  if (file !== undefined && made.credential !== null) {
    await writeFile(file, `${JSON.stringify(made.credential, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  }
  frame.show(command, answer, () => {
    const head = `${made.name} was added with the SRP identifier ${made.srpIdentifier}; the supervisor of ${made.host} starts it.`;
    if (made.credential === null) return head;
    if (file !== undefined) return `${head}\nIts credential is in ${file}: copy it to BRAMBLE_HOME/credentials there.`;
    return `${head}\nIts credential, shown this once:\n${JSON.stringify(made.credential, null, 2)}`;
  });
}
