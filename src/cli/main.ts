/** The one entry of the program: what `bramble` runs from a checkout, and what a release is bundled from. */
import { runCommandLine } from './program.ts';

/** A process that has drained does not wait longer for what a library forgot to close. */
const lingerMs = 1000;

const argv = process.argv.slice(2);
// Whoever reads the output may have enough of it, as `head` has. A supervisor goes on without a reader.
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
