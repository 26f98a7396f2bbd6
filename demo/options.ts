/** The demo's command line. */
import { randomBytes } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';

/** The first computer, and one for each of the two instances. */
const mostHosts = 3;

export interface DemoOptions {
  devices: number;
  accounts: number;
  seed: string;
  /** Computers, each with a home and a supervisor of its own; more than one meet in an external database. */
  hosts: number;
  /** Turn back midway instead of finalizing. */
  reverse: boolean;
  /** Leave the domain's home standing at the end. */
  keep: boolean;
  /** Leave the domain running at the end, until Enter is pressed. */
  stay: boolean;
  /** File that the report is written to as JSON. */
  json: string | undefined;
}

export function readDemoOptions(argv: readonly string[]): DemoOptions {
  const command = new Command('demo')
    .description('upgrade a live domain of the latest sealed release to this working tree, in phases')
    .option('--devices <number>', 'how many devices', within(40, 2000, 'devices'), 40)
    .option('--accounts <number>', 'how many user accounts', within(24, 2000, 'accounts'), 24)
    .addOption(
      new Option('--hosts <number>', `further computers join (2 or ${mostHosts} in all), and accounts move to them`)
        .argParser(within(2, mostHosts, 'computers'))
        .conflicts(['reverse', 'keep']),
    )
    .option('--seed <text>', 'the same seed makes the same fleet (default: drawn, and printed)')
    .option('--reverse', 'turn back midway: the domain ends as a working one of the sealed release', false)
    .option('--keep', 'leave the domain’s home standing at the end', false)
    .option('--stay', 'leave the domain running at the end, with its console, until Enter is pressed', false)
    .option('--json <file>', 'write the report as JSON too')
    .parse([...argv], { from: 'user' });
  const { json, seed, hosts, ...options } = command.opts<
    Omit<DemoOptions, 'json' | 'seed' | 'hosts'> & { json?: string; seed?: string; hosts?: number }
  >();
  return { ...options, json, hosts: hosts ?? 1, seed: seed ?? randomBytes(4).toString('hex') };
}

function within(least: number, most: number, what: string) {
  return (text: string) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`the demo takes ${least} to ${most} ${what}.`);
  };
}
