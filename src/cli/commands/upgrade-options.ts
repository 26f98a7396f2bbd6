/** Options of an upgrade that can be given when planning it and changed on the way, as flags. */
import { type Command, Option } from 'commander';
import type { OptionsChange } from '../../api/upgrade-options.ts';
import { number, unvalidated } from '../arguments.ts';

export interface WaveFlags {
  canary?: string[];
  canaryGroup?: string[];
  canaryInstance?: string[];
  canaryPlatform?: string[];
  canarySoftware?: string[];
  wave?: number[];
  soak?: number;
  maxAccounts?: number;
  maxDevices?: number;
  window?: string[];
  anyTime?: boolean;
  outOfReach?: string;
  outOfReachAfter?: number;
}

export function waveOptions(command: Command): Command {
  return command
    .option('--canary <account...>', 'accounts that move first')
    .option('--canary-group <name...>', 'accounts of these groups move first')
    .option('--canary-instance <name...>', 'accounts of these instances move first')
    .option('--canary-platform <name...>', 'accounts with devices of these platforms move first')
    .option(
      '--canary-software <version...>',
      'accounts whose devices have this software move first: 17 is also 17.4. If several of these --canary- options ' +
        'are given, all must hold; accounts named by --canary are added',
    )
    .option('--wave <percent...>', 'percentage of all accounts that have moved at the end of each wave', percentages)
    .option('--soak <seconds>', 'seconds that each wave is observed before its gate decides', number)
    .option('--max-accounts <number>', 'how many accounts one new instance may take', number)
    .option('--max-devices <number>', 'how many active devices one new instance may take', number)
    .option(
      '--window <window...>',
      'when accounts may start to move, such as "Mon-Fri 22:00-05:00 Europe/Vienna"; outside nothing new starts, and what ' +
        'has started goes on',
    )
    .addOption(new Option('--any-time', 'accounts may start to move at any time').conflicts('window'))
    .option(
      '--out-of-reach <rule>',
      'what a wave does about accounts whose devices do not come, once all others have settled: leave (the default) goes ' +
        'on without them, pause pauses the upgrade, wait waits for them',
    )
    .option('--out-of-reach-after <seconds>', 'leave and pause only once the wave has run for this long', number);
}

/** What the flags choose, by the names of REST. */
export function waveOptionsOf(flags: WaveFlags): OptionsChange {
  const chosen: OptionsChange = {
    canaries: flags.canary,
    canaryGroups: flags.canaryGroup,
    canaryInstances: flags.canaryInstance,
    canaryPlatforms: flags.canaryPlatform,
    canarySoftware: flags.canarySoftware,
    wavePercentages: flags.wave,
    soakSeconds: flags.soak,
    maxAccounts: flags.maxAccounts,
    maxDevices: flags.maxDevices,
    windows: flags.anyTime ? [] : flags.window,
    outOfReach: flags.outOfReach === undefined ? undefined : unvalidated(flags.outOfReach),
    outOfReachSeconds: flags.outOfReachAfter,
  };
  return Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== undefined));
}

function percentages(value: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), number(value)];
}
