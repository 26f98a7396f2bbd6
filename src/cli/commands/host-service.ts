/** `bramble service install | uninstall`: the supervisor as a service of this host. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { shownJson } from '../../base/shown-text.ts';
import { homeFolder } from '../administration-access.ts';
import { example, type Frame } from '../frame.ts';
import { isSupervised } from '../supervisor-stop.ts';

interface InstallFlags {
  print: boolean;
  user: string;
  node: string;
  writable: string[];
}

export function addHostServiceCommands(services: Command, frame: Frame): void {
  addInstall(services, frame);
  addUninstall(services, frame);
}

function addInstall(services: Command, frame: Frame): void {
  example(
    services
      .command('install')
      .description('make the supervisor of BRAMBLE_HOME a service of this host, under systemd')
      .option('--print', 'only print the unit', false)
      .option('--user <name>', 'user that everything runs as; created if there is none', 'bramble')
      .option('--node <path>', 'Node.js that it runs with', process.execPath)
      .option(
        '--writable <folder...>',
        'where else than in the home it may write; a schedule of backups that is set is allowed its folders',
        [],
      )
      .action(async ({ print, user, node, writable }: InstallFlags, command) => {
        const { installService, planService } = await import('../../setup/host-service.ts');
        const home = resolve(homeFolder(frame.environment));
        const folders = [...writable.map((path) => resolve(path)), ...(await scheduledFolders(home))];
        const plan = await planService({ home, user, node: resolve(node), writable: [...new Set(folders)] });
        if (print) {
          frame.print(frame.wantsJson(command) ? shownJson({ unit: plan.text }, 2) : plan.text.trimEnd());
          return;
        }
        const installed = await installService(plan);
        const next = [...((await isSupervised(plan.home)) ? ['bramble down'] : []), ...installed.next];
        frame.show(command, { ...installed, next }, ({ unit, files }) =>
          [
            `${unit} is installed (${files.join(', ')}), and not started. Next:`,
            ...next.map((line) => `  ${line}`),
            'After an upgrade, when it waits for supervisors: start the unit of the new release, which takes over, and',
            'disable this one.',
            `Run other commands as the user ${user}, so that what they write into the home belongs to it.`,
          ].join('\n'),
        );
      }),
    'sudo BRAMBLE_HOME=/var/lib/bramble bramble service install',
    'sudo BRAMBLE_HOME=/var/lib/bramble bramble service install --writable /mnt/backups',
    'bramble service install --print',
  );
}

async function scheduledFolders(home: string): Promise<string[]> {
  const { readSchedule } = await import('../../processes/supervisor/backup-schedule.ts');
  const schedule = await readSchedule(home);
  return schedule === undefined ? [] : [schedule.folder, ...(schedule.scratch === null ? [] : [schedule.scratch])];
}

function addUninstall(services: Command, frame: Frame): void {
  example(
    services
      .command('uninstall')
      .description('remove the service that `install` made; the home and the user stay')
      .action(async (_flags: object, command) => {
        const { uninstallService } = await import('../../setup/host-service.ts');
        frame.show(command, await uninstallService(), ({ files }) =>
          files.length === 0 ? 'There was nothing to remove.' : `Removed: ${files.join(', ')}.`,
        );
      }),
    'sudo bramble service uninstall',
  );
}
