/** The one entry of the program: what `bramble` runs from a checkout, and what a release is bundled from. */
import { runCommandLine } from './program.ts';

/** A drained process does not wait for what a library forgot to close. */
const lingerMs = 1000;

const argv = process.argv.slice(2);
// A terminal that was closed takes no more messages: what is being removed is removed all the same.
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (!['EPIPE', 'EIO'].includes(error.code ?? '')) throw error;
});
// The reader of the output may close it early, like `head`. A supervisor continues without a reader.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (argv[0] !== 'up') process.exit();
});
const code = await runCommandLine(argv, {
  input: process.stdin,
  output: process.stdout,
  errors: process.stderr,
  environment: process.env,
});
if (code !== 0) process.exitCode = code;
if (argv[0] === 'run') setTimeout(() => process.exit(), lingerMs).unref();
