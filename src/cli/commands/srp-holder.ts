/** Adding what holds an SRP credential: a server instance or a connection service. */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import * as z from 'zod';
import type { Frame } from '../frame.ts';

const added = z.object({
  name: z.string(),
  srpIdentifier: z.string(),
  host: z.string(),
  credential: z.record(z.string(), z.unknown()).nullable(),
});

/** Has it added, and shows or writes its credential where that is for another host. */
export async function addHolder(
  frame: Frame,
  command: Command,
  path: string,
  body: object,
  file: string | undefined,
): Promise<void> {
  const rest = await frame.rest(command);
  const answer = await rest.send('POST', path, body);
  const made = added.parse(answer);
  if (file !== undefined && made.credential !== null) {
    await writeFile(file, `${JSON.stringify(made.credential, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  }
  frame.show(command, answer, () => {
    const head = `${made.name} was added with the SRP identifier ${made.srpIdentifier}; the supervisor of ${made.host} starts it.`;
    if (made.credential === null) return head;
    if (file !== undefined) return `${head}\nIts credential is in ${file}: put it into BRAMBLE_HOME/credentials there.`;
    return `${head}\nIts credential, shown this once:\n${JSON.stringify(made.credential, null, 2)}`;
  });
}
