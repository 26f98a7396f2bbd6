/** `bramble backup schedule`: backups that this host makes by itself, every day. */
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { showSchedules } from '../../backup/set-schedule.ts';
import { timeText } from '../../base/time-text.ts';
import { homeFolder } from '../administration-access.ts';
import { exitCode } from '../exit-codes.ts';
import { example, type Frame } from '../frame.ts';
import { ownProgram, userName } from '../local-operator.ts';
import { columns, type Style } from '../text-output.ts';
import { inMiB, showsVerifying, working } from './backup-progress.ts';

export function addScheduleCommands(backup: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const schedule = backup.command('schedule').description('backups that this host makes by itself, every day');
  addShow(schedule, frame, setExitCode);
  addSet(schedule, frame);
  addOff(schedule, frame);
  addRun(schedule, frame);
}

type Shown = Awaited<ReturnType<typeof showSchedules>>;

function addShow(schedule: Command, frame: Frame, setExitCode: (code: number) => void): void {
  example(
    schedule
      .command('show', { isDefault: true })
      .description(
        'show what is scheduled in the domain and how the last backups went; exits with 1 if one failed or is overdue',
      )
      .action(async (_flags: object, command) => {
        const { showSchedules: show } = await import('../../backup/set-schedule.ts');
        const shown = await show(homeFolder(frame.environment));
        const isMissing = isMissingHere(shown);
        frame.show(command, { ...shown, missingHere: isMissing }, scheduleText);
        if (isMissing || shown.hosts.some(({ overdue, failure }) => overdue || failure !== null)) {
          setExitCode(exitCode.failed);
        }
      }),
    'bramble backup schedule',
  );
}

/** The domain expects it of this host, and its home knows nothing of it: as after restoring. */
function isMissingHere({ host, here, hosts }: Shown): boolean {
  return here === null && hosts.some((each) => each.host === host);
}

function scheduleText(shown: Shown, style: Style): string {
  const { host, here, hosts } = shown;
  if (hosts.length === 0) return 'No backups are scheduled: `bramble backup schedule set`.';
  const table = columns(style, hosts, {
    host: (row) => row.host,
    'every day at': (row) => `${row.daily} ${row.zone}`,
    to: (row) => `${row.folder}${row.keep === null ? '' : `, the newest ${row.keep}`}`,
    tried: (row) => (row.verifies ? 'each' : 'no'),
    'last good': (row) => timeText(row.goodAt),
    next: (row) => (row.overdue ? style.red(`overdue since ${timeText(row.dueAt)}`) : timeText(row.dueAt)),
  });
  const failures = hosts.flatMap(({ host: of, triedAt, failure }) =>
    failure === null ? [] : [style.red(`The last one on ${of} failed at ${timeText(triedAt)}: ${failure}`)],
  );
  const missing = isMissingHere(shown)
    ? [
        style.red(
          `The home of ${host} has no schedule: \`bramble backup schedule set\`, or \`… off\` if none is wanted.`,
        ),
      ]
    : [];
  const passphrase =
    here === null ? [] : [`The passphrase is read from ${here.passphraseFile}; keep it elsewhere, too.`];
  return [table, ...failures, ...missing, ...passphrase].join('\n');
}

interface SetFlags {
  daily: string;
  to: string;
  passphraseFile: string;
  keep?: number;
  verify?: boolean;
  scratch?: string;
}

function addSet(schedule: Command, frame: Frame): void {
  example(
    schedule
      .command('set')
      .description('have this host’s supervisor make a backup every day; what is missed is made up for')
      .requiredOption('--daily <time>', 'when, by this host’s clock: 02:30', timeOfDay)
      .requiredOption('--to <folder>', 'where to, best on another computer’s disk')
      .requiredOption(
        '--passphrase-file <file>',
        'the passphrase, in the first line of a file that stays there, and that only the supervisor’s user may read',
      )
      .option('--keep <number>', 'leave so many of the backups there that this host made of the domain', wholeNumber)
      .option('--verify', 'try each one, as `bramble backup verify` does')
      .option('--scratch <folder>', 'where to make the copy for that (default: the system’s temporary folder)')
      .action(async (flags: SetFlags, command) => {
        const { setSchedule } = await import('../../backup/set-schedule.ts');
        const wanted = {
          ...{ daily: flags.daily, folder: resolve(flags.to), passphraseFile: resolve(flags.passphraseFile) },
          ...{ keep: flags.keep ?? null, verifies: flags.verify === true },
          scratch: flags.scratch === undefined ? null : resolve(flags.scratch),
        };
        const firstAt = await setSchedule(homeFolder(frame.environment), wanted, userName());
        frame.show(command, { ...wanted, firstAt }, (value) =>
          [
            `A backup is made every day at ${value.daily}, for the first time at ${timeText(value.firstAt)}.`,
            'Try it now with `bramble backup schedule run`. Without the passphrase nobody can read the backups: keep it elsewhere, too.',
          ].join('\n'),
        );
      }),
    'bramble backup schedule set --daily 02:30 --to /mnt/backups --keep 14 --verify --passphrase-file /etc/bramble/backup-passphrase',
  );
}

function addOff(schedule: Command, frame: Frame): void {
  example(
    schedule
      .command('off')
      .description('make no more backups by itself; those that were made stay')
      .option('--host <name>', 'of another host, that is gone (default: this one)')
      .action(async ({ host }: { host?: string }, command) => {
        const { removeSchedule } = await import('../../backup/set-schedule.ts');
        const of = await removeSchedule(homeFolder(frame.environment), userName(), host);
        frame.show(command, { host: of }, (value) => `No backups are scheduled on ${value.host} any more.`);
      }),
    'bramble backup schedule off',
  );
}

function addRun(schedule: Command, frame: Frame): void {
  example(
    schedule
      .command('run')
      .description('make the scheduled backup now, as the supervisor does when its time has come')
      .option('--due', 'only if its time has come')
      .action(async (flags: { due?: boolean }, command) => {
        const [{ runScheduledBackup }, program] = await Promise.all([
          import('../../backup/scheduled-backup.ts'),
          ownProgram(),
        ]);
        const home = homeFolder(frame.environment);
        const run = await working(frame, async (progress, signal) =>
          runScheduledBackup({
            ...{ home, program, user: userName(), onlyIfDue: flags.due === true, signal },
            onCopying: inMiB(progress, 'copying'),
            onVerifying: showsVerifying(progress),
          }),
        );
        const shown =
          run.outcome === 'not-due'
            ? run
            : { outcome: run.outcome, file: run.made.path, verified: run.verified !== null, removed: run.removed };
        frame.show(command, shown, (value) =>
          'file' in value
            ? `${value.file} was made${value.verified ? ' and tried, and is good' : ''}` +
              `${value.removed.length === 0 ? '' : `; removed: ${value.removed.join(', ')}`}.`
            : 'It is not time for a backup.',
        );
      }),
    'bramble backup schedule run',
  );
}

function timeOfDay(text: string): string {
  if (/^(?:[01]\d|2[0-3]):[0-5]\d$/.test(text)) return text;
  throw new InvalidArgumentError('use hours and minutes, such as 02:30.');
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= 10_000) return number;
  throw new InvalidArgumentError('use a whole number from 1 on.');
}
