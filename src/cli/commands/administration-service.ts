/** `bramble administration-service`. */
import type { Command } from 'commander';
import { administrationServiceOperations } from '../../api/administration-services.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';

export function addAdministrationServiceCommands(program: Command, frame: Frame): void {
  const services = program
    .command('administration-service')
    .alias('administration-services')
    .description('administration services, which answer `bramble` and REST');
  example(
    services
      .command('add <name>')
      .description('add an administration service and start it')
      .option('--host <name>', 'the host whose supervisor is to run it (default: that of the one that answers)')
      .action(async (name: string, { host }: { host?: string }, command) => {
        const body = { name, ...(host === undefined ? {} : { host }) };
        await frame.ask(
          command,
          administrationServiceOperations.add,
          { body },
          (added) => `${added.name} was added; the supervisor of ${added.host} starts it.`,
        );
      }),
    'bramble administration-service add administration-2 --host berlin-2',
  );
  example(
    confirmable(services.command('remove <name>'))
      .description('remove an administration service that is not the last one')
      .action(async (name: string, flags: { yes?: true }, command) => {
        if (!flags.yes) await confirm(frame, `Remove the administration service ${name}?`);
        const request = { params: { name } };
        await frame.ask(
          command,
          administrationServiceOperations.remove,
          request,
          () => `${name} is removed, and stops.`,
        );
      }),
    'bramble administration-service remove administration-2',
  );
}
