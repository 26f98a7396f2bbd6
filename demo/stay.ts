/** Leaves the demo's domain running, for a look at the console, until Enter is pressed. */
import { createInterface } from 'node:readline/promises';
import { tellFirstSignIn } from '../src/cli/first-sign-in.ts';

export async function stay(home: string): Promise<void> {
  const write = (text: string) => void process.stdout.write(text);
  write(`\nThe domain goes on, with its devices. Its home is ${home}\n`);
  await tellFirstSignIn({ home, write, signal: AbortSignal.timeout(60_000) });
  write('Enter stops the domain and removes it.\n');
  const terminal = createInterface({ input: process.stdin });
  await terminal.question('');
  terminal.close();
}
