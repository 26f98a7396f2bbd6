/** `bramble upgrade rehearse`: the upgrade to this program's release, on a copy made from a backup. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { counted } from '../../base/counted.ts';
import { durationText, timeText } from '../../base/time-text.ts';
import type { RehearsalStep } from '../../rehearsal/rehearse-upgrade.ts';
import { thisRelease } from '../../release/this-release.ts';
import { fenceMs, type Rehearsal } from '../../upgrade/plan/rehearsal-record.ts';
import { homeFolder } from '../administration-access.ts';
import { exitCode } from '../exit-codes.ts';
import { example, type Frame } from '../frame.ts';
import { ownProgram, userName } from '../local-operator.ts';
import { type PassphraseFlags, passphraseOf, withPassphrase } from '../passphrase.ts';
import { facts, type Style } from '../text-output.ts';
import { showsSteps, working } from './backup-progress.ts';

const steps = {
  restoring: 'restoring rows',
  expanding: 'expanding the schema',
  'starting-old': 'starting the previous release',
  'starting-new': `starting ${thisRelease.release}`,
} as const satisfies Record<Exclude<RehearsalStep, 'reading'>, string>;

export function addUpgradeRehearseCommand(upgrades: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const command = withPassphrase(
    upgrades
      .command('rehearse <backup>')
      .description(
        `try the upgrade to ${thisRelease.release} on a copy made from a backup: expand it, start both releases on it, and ` +
          'measure how long that takes',
      )
      .option('--scratch <folder>', 'where to make the copy (default: the system’s temporary folder)'),
  ).action(async (file: string, flags: PassphraseFlags & { scratch?: string }, command) => {
    const passphrase = await passphraseOf(file, frame, flags);
    const [{ rehearseUpgrade }, { registeredPlatforms: platforms }, program] = await Promise.all([
      import('../../rehearsal/rehearse-upgrade.ts'),
      import('../../platforms/registered/platforms.ts'),
      ownProgram(),
    ]);
    const rehearsal = await working(frame, async (progress, signal) =>
      rehearseUpgrade({
        ...{ file: resolve(file), passphrase, home: homeFolder(frame.environment), program, by: userName(), signal },
        platforms,
        ...(flags.scratch === undefined ? {} : { scratch: resolve(flags.scratch) }),
        onProgress: showsSteps(progress, steps),
      }),
    );
    frame.show(command, rehearsal, rehearsalText);
    if (rehearsal.obstacles.length > 0) setExitCode(exitCode.refused);
  });
  example(command, 'bramble upgrade rehearse /mnt/backups/example-berlin-20261127T080000Z.backup');
}

/** How many of the migrations that took longest are listed. */
const slowestShown = 3;

function rehearsalText(rehearsal: Rehearsal, style: Style): string {
  const { fromRelease, toRelease, backup, rows, accounts, obstacles, found, times } = rehearsal;
  const seconds = (ms: number) => durationText(ms / 1000);
  const slowest = times.migrations.slice(0, slowestShown).map(({ name, ms, backfilledRows }) => {
    return `${name} ${seconds(ms)}${backfilledRows === 0 ? '' : ` (${backfilledRows} rows filled in)`}`;
  });
  const started = (ms: number | null) => (ms === null ? 'did not start' : `served after ${seconds(ms)}`);
  const list = (label: string, texts: readonly string[]) =>
    texts.map((text, index): [string, string] => [index === 0 ? label : '', text]);
  return facts(style, [
    ['upgrade', `${fromRelease} → ${toRelease}: ${style.bold(obstacles.length === 0 ? 'go' : 'no go')}`],
    ...list('because', obstacles),
    [
      'data',
      `${counted(accounts, 'account')}, ${counted(rows, 'row')}, as of ${timeText(backup.takenAt)}; copied in ${seconds(times.restoreMs)}`,
    ],
    ['expansion', `${seconds(times.expandMs)}${slowest.length === 0 ? '' : `; longest: ${slowest.join(', ')}`}`],
    [fromRelease, `${started(times.oldStartMs)} on the expanded copy`],
    [toRelease, `${started(times.newStartMs)} on it`],
    ...list('found', found),
    ...movingLines(rehearsal),
    [
      'fence',
      `the administration would be away for about ${seconds(fenceMs(rehearsal))}; devices are served meanwhile`,
    ],
    [
      'recorded',
      'on this host, for the check "rehearsal", and for plans and the status of an administration of 1.4 or later',
    ],
  ]);
}

/** Their minimum, by the rates of the domain: devices that are slow to answer, and gates, take longer. */
function movingLines({ moving }: Rehearsal): [string, string][] {
  if (moving === null) return [];
  const { deliveries, leastMinutes, waves, soakSeconds } = moving;
  const soaks = counted(waves, 'wave');
  const sent = `${counted(deliveries, 'delivery')} in ${durationText(leastMinutes * 60)} or more`;
  return [['waves', `${sent}; and ${soaks}, each observed for ${durationText(soakSeconds)} by default`]];
}
