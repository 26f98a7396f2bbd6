/**
 * `bramble database roles`: which PostgreSQL role each kind of process has, and its privileges. `bramble database export`:
 * from the embedded PostgreSQL to an external one.
 */
import type { Command } from 'commander';
import { BrambleError } from '../../base/errors.ts';
import { shownJson } from '../../base/shown-text.ts';
import { homeFolder } from '../administration-access.ts';
import { exitCode } from '../exit-codes.ts';
import { example, type Frame } from '../frame.ts';
import { withProgress } from '../live-progress.ts';
import { table } from '../text-output.ts';

interface Flags {
  sql: boolean;
  check: boolean;
  use: boolean;
  renew: boolean;
}

const stateText = {
  separate:
    'Each kind of process has a role of its own. Processes that run without one use it from the next `bramble up` on.',
  prepared:
    'Credentials are prepared but not in use: execute the output of --sql, then `bramble database roles --use`.',
  single:
    'Every process uses the same role. `bramble database roles --sql` prints the SQL that creates one for each ' +
    'kind.',
};

export function addDatabaseCommands(program: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const database = program.command('database').description('the configuration database of the domain');
  addRoles(database, frame, setExitCode);
  addExport(database, frame);
}

function addRoles(database: Command, frame: Frame, setExitCode: (code: number) => void): void {
  example(
    database
      .command('roles')
      .description('show what each kind of process may do in the database; create, check and use a role for each')
      .option(
        '--sql',
        'print the SQL that creates the roles, for a superuser of an external PostgreSQL; it contains SCRAM ' +
          'verifiers, not passwords',
        false,
      )
      .option('--check', 'check that every role can log in and has exactly the rights that it needs', false)
      .option('--renew', 'print that SQL with another password for every role, for when a host was lost', false)
      .option('--use', 'check the roles, and use them from the next `bramble up` on', false)
      .action(async (flags: Flags, command) => {
        if ([flags.sql, flags.renew, flags.check, flags.use].filter(Boolean).length > 1) {
          throw new BrambleError('ERR_USAGE', 'Give only one of --sql, --renew, --check and --use.');
        }
        const home = homeFolder(frame.environment);
        const roles = await import('../../setup/database-roles.ts');
        if (flags.sql || flags.renew) {
          const sql = await roles.rolesScript(home, { renew: flags.renew });
          frame.print(frame.wantsJson(command) ? shownJson({ sql }, 2) : sql);
        } else if (flags.check) showFaults(command, frame, await roles.findRoleFaults(home), setExitCode);
        else if (flags.use) {
          const { ownFeatures } = await import('../../registry/own-release.ts');
          await roles.useRoles(home, ownFeatures);
          frame.show(command, await roles.rolesState(home), ({ state }) => stateText[state]);
        } else await showRights(command, frame, (await roles.rolesState(home)).state);
      }),
    'bramble database roles',
    'bramble database roles --sql | psql "$ADMIN_URL"',
    'bramble database roles --use',
  );
}

function showFaults(
  command: Command,
  frame: Frame,
  faults: readonly string[],
  setExitCode: (code: number) => void,
): void {
  frame.show(command, { faults }, () =>
    faults.length === 0 ? 'Every role can log in and has exactly the rights that it needs.' : faults.join('\n'),
  );
  if (faults.length > 0) setExitCode(exitCode.refused);
}

async function showRights(command: Command, frame: Frame, state: keyof typeof stateText): Promise<void> {
  const { databaseRoles, sequenceRights, tableRights } = await import('../../database/roles/role-rights.ts');
  const rights = { ...tableRights, ...sequenceRights };
  frame.show(
    command,
    { state, rights },
    (_, style) =>
      `${table(
        style,
        ['table', ...databaseRoles],
        Object.entries(rights).map(([name, line]) => [name, ...databaseRoles.map((role) => shortText(line[role]))]),
      )}\n\ns select, i insert, u update, d delete, * of some columns only\n${stateText[state]}`,
  );
}

/** `siu*` for `select insert update(a,b)`. */
function shortText(rights: string | undefined): string {
  return rights === undefined
    ? '-'
    : rights
        .replaceAll(/(\w)\w*(\([^)]*\))?/g, (_, first: string, columns?: string) => `${first}${columns ? '*' : ''}`)
        .replaceAll(' ', '');
}

function addExport(database: Command, frame: Frame): void {
  example(
    database
      .command('export')
      .description('move the stopped domain from its embedded PostgreSQL to an external one, which further hosts need')
      .option('--database-url <url>', 'the external, empty database (default: DATABASE_URL)')
      .option('--rehearse', 'only copy and compare, while the domain runs: shows how long it will stand still', false)
      .action(async (flags: { databaseUrl?: string; rehearse: boolean }, command) => {
        const to = flags.databaseUrl ?? frame.environment['DATABASE_URL'];
        if (to === undefined || !to.startsWith('postgres')) {
          throw new BrambleError(
            'ERR_USAGE',
            'Name the external database: --database-url postgres://…, or DATABASE_URL.',
          );
        }
        const [{ exportDatabase, rehearseExport }, { migrationFolder }, { thisRelease }] = await Promise.all([
          import('../../backup/export-database.ts'),
          import('../../release/program.ts'),
          import('../../release/this-release.ts'),
        ]);
        const home = homeFolder(frame.environment);
        const program = { release: thisRelease.release, migrations: migrationFolder() };
        const exported = await withProgress(frame, async (progress) =>
          (flags.rehearse ? rehearseExport : exportDatabase)({
            ...{ home, to, program },
            onProgress: (done, of) => progress.show('copying and comparing tables', done, of),
          }),
        );
        frame.show(command, { ...exported, rehearsed: flags.rehearse }, (value) => exportedText(value, home));
      }),
    'bramble database export --rehearse --database-url "$ADMIN_URL"',
    'bramble down; bramble database export --database-url "$ADMIN_URL"; bramble up',
  );
}

function exportedText(
  { tables, rows, copySeconds, rehearsed }: { tables: number; rows: number; copySeconds: number; rehearsed: boolean },
  home: string,
): string {
  const copied = `${tables} tables with ${rows} rows were copied and compared in ${copySeconds.toFixed(1)} s`;
  return rehearsed
    ? `${copied}, while the domain was running. The external database has no rows again.\n` +
        'The domain stands still for about as long between `bramble down` and `bramble up`, while it is exported.'
    : `${copied}. ${home}/config.json names the external database: start the domain with \`bramble up\`.\n` +
        'All its processes use one role there: `bramble database roles` gives each kind its own.\n' +
        'The embedded database is as it was. To go back before anything is written to the new one, put back what is in ' +
        `${home}/postgres/before-export; once the new one is in use, remove ${home}/postgres/cluster.`;
}
