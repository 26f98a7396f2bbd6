/** The demo's command line. */
import { randomBytes } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';

export interface DemoOptions {
  devices: number;
  accounts: number;
  seed: string;
  /** Turn back midway instead of finalizing. */
  reverse: boolean;
  /** Leave the domain's home standing at the end. */
  keep: boolean;
  /** File that the report is written to as JSON. */
  json: string | undefined;
}

export function readDemoOptions(argv: readonly string[]): DemoOptions {
  const command = new Command('demo')
    .description('upgrade a live domain of the latest sealed release to this working tree, in phases')
    .option('--devices <number>', 'how many devices', atLeast(40, 'devices'), 40)
    .option('--accounts <number>', 'how many user accounts', atLeast(24, 'accounts'), 24)
    .option('--seed <text>', 'the same seed makes the same fleet (default: drawn, and printed)')
    .option('--reverse', 'turn back midway: the domain ends as a working one of the sealed release', false)
    .option('--keep', 'leave the domain’s home standing at the end', false)
    .option('--json <file>', 'write the report as JSON too')
    .parse([...argv], { from: 'user' });
  const { json, seed, ...options } = command.opts<
    Omit<DemoOptions, 'json' | 'seed'> & { json?: string; seed?: string }
  >();
  return { ...options, json, seed: seed ?? randomBytes(4).toString('hex') };
}

function atLeast(least: number, what: string) {
  return (text: string) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= 2000) return value;
    throw new InvalidArgumentError(`the demo takes ${least} to 2000 ${what}.`);
  };
}
