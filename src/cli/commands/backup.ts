/**
 * `bramble backup`: makes, tries and restores backups of the domain. These commands work on the home and the database
 * themselves: a backup is also made, and above all restored, where no administration service runs.
 */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { BackupHead } from '../../backup/manifest.ts';
import { BrambleError } from '../../base/errors.ts';
import { timeText } from '../../base/time-text.ts';
import { thisRelease } from '../../release/this-release.ts';
import { homeFolder } from '../administration-access.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { withProgress } from '../live-progress.ts';
import { ownProgram, userName } from '../local-operator.ts';
import { type PassphraseFlags, passphraseOf, readPassphrase, withPassphrase } from '../passphrase.ts';
import { columns, facts } from '../text-output.ts';
import { inMiB, showsVerifying, working } from './backup-progress.ts';
import { addScheduleCommands } from './backup-schedule.ts';

export function addBackupCommands(program: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const backup = program.command('backup').description('backups of the domain: its database and the keys in this home');
  addCreate(backup, frame);
  addVerify(backup, frame);
  addRestore(backup, frame);
  addResume(backup, frame);
  addList(backup, frame);
  addScheduleCommands(backup, frame, setExitCode);
}

function addCreate(backup: Command, frame: Frame): void {
  example(
    withPassphrase(
      backup
        .command('create')
        .description('make a backup while the domain runs: one moment of the database, and the keys, encrypted')
        .option('--out <file>', 'the file to write')
        .option('--to <folder>', 'the folder to write it to, under a name with domain, host and time')
        .option(
          '--keep <number>',
          'with --to: afterwards remove the oldest backups that this host made of the domain there until so many are left',
        ),
    ).action(async (flags: PassphraseFlags & { out?: string; to?: string; keep?: string }, command) => {
      const { out, to } = flags;
      const keep = flags.keep === undefined ? undefined : Number(flags.keep);
      if (keep !== undefined && (to === undefined || !Number.isInteger(keep) || keep < 1)) {
        throw new BrambleError('ERR_USAGE', '--keep requires a whole number from 1 on, and --to with a folder.');
      }
      if ((out === undefined) === (to === undefined)) {
        throw new BrambleError('ERR_USAGE', 'Say where to write the backup: --out with a file, or --to with a folder.');
      }
      const passphrase = await readPassphrase(frame, flags, { twice: true });
      const [{ createBackup }, { fileNameOf, removeOldBackups }] = await Promise.all([
        import('../../backup/create-backup.ts'),
        import('../../backup/backup-folder.ts'),
      ]);
      const made = await working(frame, async (progress, signal) =>
        createBackup({
          ...{
            home: homeFolder(frame.environment),
            passphrase,
            release: thisRelease.release,
            user: userName(),
            signal,
          },
          pathOf: (head) => resolve(out ?? join(to ?? '', fileNameOf(head))),
          onProgress: inMiB(progress, 'copying'),
        }),
      );
      const { path, head, sha256, tables, rows } = made;
      const removed = keep === undefined ? [] : await removeOldBackups(resolve(to ?? ''), head, keep);
      frame.show(command, { file: path, ...shownHead(head), sha256, tables, rows, removed }, (value, style) =>
        [
          facts(style, [
            ['backup', value.file],
            ['domain', `${value.domain.name}, release ${value.domain.release}, schema ${value.domain.schemaVersion}`],
            ['as of', timeText(value.takenAt)],
            ['holds', `${value.tables} tables with ${value.rows} rows, and the keys of this home`],
            ['sha256', value.sha256],
            ...(value.removed.length === 0 ? [] : [['removed', value.removed.join(', ')] as const]),
          ]),
          '\nKeep it away from this computer, and the passphrase away from it: without the passphrase it cannot be read.',
          `Try it with \`bramble backup verify ${value.file}\`.`,
        ].join('\n'),
      );
    }),
    'bramble backup create --to /mnt/backups --keep 14 --passphrase-file /root/backup-passphrase',
  );
}

function addVerify(backup: Command, frame: Frame): void {
  example(
    withPassphrase(
      backup
        .command('verify <file>')
        .description('restore a backup into a PostgreSQL of its own, compare everything, and start the release on it')
        .option(
          '--scratch <folder>',
          'where to make the copy, which is as large as the database (default: the system’s temporary folder)',
        ),
    ).action(async (file: string, flags: PassphraseFlags & { scratch?: string }, command) => {
      const passphrase = await passphraseOf(file, frame, flags);
      const [{ verifyBackup }, program] = await Promise.all([import('../../backup/verify-backup.ts'), ownProgram()]);
      const verified = await working(frame, async (progress, signal) =>
        verifyBackup({
          ...{ file: resolve(file), passphrase, home: homeFolder(frame.environment), program, by: userName(), signal },
          ...(flags.scratch === undefined ? {} : { scratch: resolve(flags.scratch) }),
          onProgress: showsVerifying(progress),
        }),
      );
      frame.show(command, verified, (value, style) =>
        facts(style, [
          ['backup', `${value.file} is good`],
          ['domain', `${value.domain}, release ${value.release}, schema ${value.schemaVersion}`],
          ['as of', timeText(value.takenAt)],
          [
            'restored',
            `${value.found.tables} tables with ${value.found.rows} rows, each table compared by count and digest`,
          ],
          ['started', value.found.started],
          [
            'recorded',
            `for the check "backup" of an upgrade, verified by ${value.verifiedBy} at ${timeText(value.verifiedAt)}`,
          ],
        ]),
      );
    }),
    'bramble backup verify /mnt/backups/example-berlin-20261127T080000Z.backup',
  );
}

interface RestoreFlags extends PassphraseFlags {
  databaseUrl?: string;
  formerHome?: string;
  yes?: boolean;
}

function addRestore(backup: Command, frame: Frame): void {
  example(
    confirmable(
      withPassphrase(
        backup
          .command('restore <file>')
          .description('make the domain again, in an empty home and an empty database; it starts paused')
          .option('--database-url <url>', 'your own, empty PostgreSQL database (default: an embedded PostgreSQL)')
          .option(
            '--former-home <folder>',
            'the former home, if it is left: what was revoked since is taken from its routers',
          ),
      ),
    ).action(async (file: string, flags: RestoreFlags, command) => {
      const home = resolve(homeFolder(frame.environment));
      const [{ assertTakeable, checkRestore, restoreBackup }, { readBackupHead }, program] = await Promise.all([
        import('../../backup/restore-backup.ts'),
        import('../../backup/backup-file.ts'),
        ownProgram(),
      ]);
      const { domain, takenAt, madeBy } = await readBackupHead(resolve(file));
      await assertTakeable(home);
      const passphrase = await readPassphrase(frame, flags, { twice: false });
      const options = {
        ...{ file: resolve(file), passphrase, home, program, user: userName(), databaseUrl: flags.databaseUrl },
        formerHome: flags.formerHome === undefined ? undefined : resolve(flags.formerHome),
      };
      const checked = await withProgress(frame, async (progress) => checkRestore(options, inMiB(progress, 'reading')));
      if (flags.yes !== true) {
        await confirm(
          frame,
          `Make the domain "${domain.name}" (${domain.publicUrl}) again in ${home}, as it was at ${timeText(takenAt)} on ` +
            `${madeBy.host}? ${clockIsBehind(takenAt)}Whatever it did since is lost, and the former one must never run again.`,
        );
      }
      const restored = await working(frame, async (progress, signal) => {
        progress.show('making an empty database', 0, 1);
        return await restoreBackup(checked, {
          signal,
          onProgress: (done, of) => progress.show('restoring rows', done, of),
        });
      });
      const { head, ...found } = restored;
      const answer = { ...shownHead(head), home, ...found };
      frame.show(command, answer, (value, style) =>
        [
          facts(style, [
            ['domain', `${value.domain.name} at ${value.domain.publicUrl}, release ${value.domain.release}`],
            ['as of', timeText(value.takenAt)],
            ['home', `${value.home}, of the host ${value.host}`],
            ...(value.administration === null
              ? []
              : [
                  [
                    'runs here',
                    `${value.administration}, since no administration service was placed on ${value.host}`,
                  ] as const,
                ]),
            ['paused', `${value.stopped.join(', ') || 'nothing'} will not start before \`bramble backup resume\``],
          ]),
          '',
          ...afterwards(value, style.yellow),
        ].join('\n'),
      );
    }),
    'BRAMBLE_HOME=/var/lib/bramble bramble backup restore /mnt/backups/example-berlin-20261127T080000Z.backup',
  );
}

function clockIsBehind(takenAt: string): string {
  if (Date.now() >= Date.parse(takenAt)) return '';
  return `By this computer's clock that is yet to come: set it first, or routers may believe nothing that the domain says. `;
}

/** What only the operator can do. */
function afterwards(
  restored: {
    takenAt: string;
    embedded: boolean;
    domain: BackupHead['domain'];
    possiblyRenewed: readonly { id: string; account: string }[];
    revocationsTaken: number | null;
    joinedHosts: readonly string[];
  },
  loud: (text: string) => string,
): string[] {
  const { takenAt, embedded, domain, possiblyRenewed, revocationsTaken, joinedHosts } = restored;
  const since = timeText(takenAt);
  const devices = possiblyRenewed.slice(0, 20).map(({ id, account }) => `   ${id} of ${account}`);
  return [
    `1. Install release ${domain.release} unless it is there (\`bramble release install\`), then \`bramble up\`.`,
    revocationsTaken === null
      ? loud(
          `2. SRP credentials that were revoked after ${since} are valid again, as are administrator tokens: revoke them ` +
            'again (`bramble srp revoke`, `bramble token revoke`).',
        )
      : loud(
          `2. ${revocationsTaken} SRP credentials that were revoked after ${since} are revoked here too. Administrator ` +
            'tokens that were are valid again: `bramble token revoke`.',
        ),
    `3. Devices activated after ${since} must be activated again. Those that renewed their identity since must be too; ` +
      (possiblyRenewed.length === 0
        ? 'by their dates there are none.'
        : `by their dates these may have (${possiblyRenewed.length}), and the event device-unknown-identity names each one that did:`),
    ...devices,
    ...(possiblyRenewed.length > devices.length ? ['   …: --json lists all'] : []),
    `4. Cancel what must not be done a second time, such as a wipe that was queued at ${since}: \`bramble device cancel\`.`,
    '5. `bramble backup resume` starts routers and instances.',
    ...(joinedHosts.length === 0
      ? []
      : [
          loud(
            `6. ${joinedHosts.join(', ')}: stop the supervisor there, and move its home aside. The credentials of what ran there are ` +
              'revoked; each joins again, under its name (`bramble host invite`, `bramble join`), and what is placed there starts.',
          ),
        ]),
    ...(embedded ? [] : ['All processes use one database role now: `bramble database roles` gives each kind its own.']),
  ];
}

function addResume(backup: Command, frame: Frame): void {
  example(
    backup
      .command('resume')
      .description('start what serves devices in a restored domain: routers, instances, connection services')
      .action(async (_flags: object, command) => {
        const [{ resumeRestored }, { ownDatabase }] = await Promise.all([
          import('../../backup/restored-domain.ts'),
          import('../../backup/own-database.ts'),
        ]);
        const { url, host } = await ownDatabase(homeFolder(frame.environment));
        const started = await resumeRestored(url, { user: userName(), host });
        frame.show(command, { started }, (value) => `These are started: ${value.started.join(', ') || 'none'}.`);
      }),
    'bramble backup resume',
  );
}

function addList(backup: Command, frame: Frame): void {
  example(
    backup
      .command('list <folder>')
      .description('the backups in a folder, newest first, and when each was verified in this home')
      .action(async (folder: string, _flags: object, command) => {
        const [{ listBackups }, { listVerifications }] = await Promise.all([
          import('../../backup/backup-folder.ts'),
          import('../../domain/verified-backups.ts'),
        ]);
        const verified = await listVerifications(homeFolder(frame.environment));
        const backups = (await listBackups(folder)).map(({ file, sizeBytes, head }) => ({
          ...{ file, sizeBytes, ...shownHead(head), verifiedAt: verified.get(head.id) ?? null },
        }));
        frame.show(command, { backups }, (value, style) =>
          value.backups.length === 0
            ? `There is no backup in ${folder}.`
            : columns(style, value.backups, {
                backup: (row) => row.file,
                domain: (row) => row.domain.name,
                release: (row) => row.domain.release,
                'as of': (row) => timeText(row.takenAt),
                MiB: (row) => (row.sizeBytes / 1024 / 1024).toFixed(1),
                verified: (row) => timeText(row.verifiedAt),
              }),
        );
      }),
    'bramble backup list /mnt/backups',
  );
}

/** Without what only the program needs. */
function shownHead({
  id,
  takenAt,
  domain,
  madeBy,
}: BackupHead): Pick<BackupHead, 'id' | 'takenAt' | 'domain' | 'madeBy'> {
  return { id, takenAt, domain, madeBy };
}
