/** Command lines of the scripts: `--help` tells how, and what is not known is said without a trace. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** Of `process.argv`; ends the process with the usage when that is asked for (0) or an option is invalid (2). */
export function readOptions<const Config extends ParseArgsConfig>(
  usage: string,
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
    process.exit(2);
  }
}
