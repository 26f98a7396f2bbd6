/** `bramble instance`. */
import type { Command } from 'commander';
import { z } from 'zod';
import { example, type Frame } from '../frame.ts';
import { table, timeText } from '../text-output.ts';
import { addHolder } from './srp-holder.ts';

export function addInstanceCommands(program: Command, frame: Frame): void {
  const instances = program.command('instance').alias('instances').description('server instances');
  addList(instances, frame);
  addAdd(instances, frame);
}

function addList(instances: Command, frame: Frame): void {
  example(
    instances
      .command('list')
      .description('list server instances')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/instances',
          shape: z.object({
            instances: z.array(
              z.object({
                name: z.string(),
                srpIdentifier: z.string(),
                accountCount: z.number(),
                deviceCount: z.number(),
                retiredAt: z.string().nullable(),
              }),
            ),
          }),
          text: (answer, style) =>
            table(
              style,
              ['name', 'srp identifier', 'accounts', 'devices', 'retired'],
              answer.instances.map((row) => [
                row.name,
                row.srpIdentifier,
                String(row.accountCount),
                String(row.deviceCount),
                timeText(row.retiredAt),
              ]),
            ),
        });
      }),
    'bramble instance list',
  );
}

function addAdd(instances: Command, frame: Frame): void {
  example(
    instances
      .command('add <name>')
      .description('add a server instance with its SRP credential and have it started')
      .option('--host <name>', 'the host whose supervisor is to run it (default: that of the administration service)')
      .option('--credential <file>', 'where to write the credential when the host is another one')
      .action(async (name: string, flags: { host?: string; credential?: string }, command) => {
        await addHolder(frame, command, '/instances', { name, host: flags.host }, flags.credential);
      }),
    'bramble instance add berlin-2',
  );
}
