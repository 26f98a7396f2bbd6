/**
 * Commands that run something: the supervisor, one process of the domain, the simulator; and the database. Modules are
 * imported on demand, so that a router does not load the rest.
 */
import type { Command } from 'commander';
import { BrambleError } from '../../base/errors.ts';
import { homeFolder, resolveAccess } from '../administration-access.ts';
import { settleCommander } from '../commander-settings.ts';
import { example, type Frame, type GlobalFlags } from '../frame.ts';
import { processKinds, processMains } from '../process-mains.ts';
import { addReleaseCommands } from './release.ts';

export function addProcessCommands(program: Command, frame: Frame, setExitCode: (code: number) => void): void {
  addUp(program, frame);
  addDown(program, frame);
  addRun(program);
  addMigrate(program, frame);
  addReleaseCommands(program, frame, setExitCode);
  addSimulate(program, frame);
}

function addUp(program: Command, frame: Frame): void {
  example(
    program
      .command('up')
      .description('run the supervisor of this host: it starts and watches the domain’s processes on this host')
      .option('--keep-database', 'leave the embedded PostgreSQL running on exit', false)
      .option('--take-over', 'also replace a running supervisor of the same or a later release', false)
      .addHelpText(
        'after',
        '\nIf a supervisor of an earlier release is running, this one takes over: the processes keep running, and ' +
          'devices do not notice.',
      )
      .action(async (flags: { keepDatabase: boolean; takeOver: boolean }) => {
        const { supervisorMain } = await import('../../processes/supervisor/main.ts');
        const home = homeFolder(frame.environment);
        const run = async () => await supervisorMain(flags);
        // What is not a terminal may be a journal.
        if (frame.output.isTTY !== true) return await run();
        const { whileTelling } = await import('../first-sign-in.ts');
        await whileTelling({ home, write: (text) => frame.output.write(text) }, run);
      }),
    'BRAMBLE_HOME=/var/lib/bramble bramble up',
  );
}

function addDown(program: Command, frame: Frame): void {
  example(
    program
      .command('down')
      .description('drain and stop everything on this host, and wait until its supervisor has ended')
      .action(async (_flags: object, command) => {
        const { stopSupervisor } = await import('../supervisor-stop.ts');
        const stopped = await stopSupervisor(homeFolder(frame.environment));
        frame.show(command, stopped, ({ processId }) => `The supervisor (process ${processId}) has stopped.`);
      }),
    'bramble down',
  );
}

function addRun(program: Command): void {
  program
    .command('run <kind>', { hidden: true })
    .description(`run one process of the domain (normally the supervisor does this): ${processKinds.join(', ')}`)
    .action(async (kind: string) => {
      const start = processMains[kind];
      if (start === undefined) {
        throw new BrambleError('ERR_USAGE', `There is no kind of process "${kind}": ${processKinds.join(', ')}.`);
      }
      await start();
    });
}

function addMigrate(program: Command, frame: Frame): void {
  program
    .command('migrate', { hidden: true })
    .description('apply the migrations of this release to DATABASE_URL')
    .option('--contract', 'include contracting migrations', false)
    .action(async (flags: { contract: boolean }, command) => {
      const [{ migrate }, { migrationFolder }, { thisRelease }] = await Promise.all([
        import('../../database/migrate.ts'),
        import('../../release/program.ts'),
        import('../../release/this-release.ts'),
      ]);
      const url = frame.environment['DATABASE_URL'];
      if (url === undefined) {
        throw new BrambleError('ERR_ENVIRONMENT', 'DATABASE_URL is not set: set it to the database to migrate.');
      }
      const version = await migrate(url, {
        folder: migrationFolder(),
        release: thisRelease.release,
        contract: flags.contract,
        applicationName: `bramble/migrate@#${process.pid}`,
      });
      frame.show(command, { schemaVersion: version }, () => `The database has schema version ${version}.`);
    });
}

/** The simulator has its own options: they are passed through unchanged. */
function addSimulate(program: Command, frame: Frame): void {
  program
    .command('simulate')
    .description('run simulated devices against a domain (`bramble simulate --help` lists the options)')
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[options...]')
    .action(async (rest: string[], _flags: object, command: Command) => {
      const { simulateCommand } = await import('../../simulator/command-line.ts');
      const { url, token, profile, json } = command.optsWithGlobals<GlobalFlags>();
      const simulator = simulateCommand(() => resolveAccess({ profile }, frame.environment));
      await settleCommander(simulator, frame, () => json === true).parseAsync(
        [
          ...rest,
          ...(url === undefined ? [] : ['--admin-url', url]),
          ...(token === undefined ? [] : ['--token', token]),
          ...(json === true ? ['--json'] : []),
        ],
        { from: 'user' },
      );
    });
}
