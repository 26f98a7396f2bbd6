/** `bramble instance`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame, segment } from '../frame.ts';
import { table, timeText } from '../text-output.ts';
import { addHolder } from './srp-holder.ts';

export function addInstanceCommands(program: Command, frame: Frame): void {
  const instances = program.command('instance').alias('instances').description('server instances');
  addList(instances, frame);
  addAdd(instances, frame);
  addRetire(instances, frame);
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

const retired = z.object({ name: z.string(), connectionServices: z.array(z.string()) });

function addRetire(instances: Command, frame: Frame): void {
  example(
    confirmable(instances.command('retire <name...>'))
      .description(
        'retire instances without accounts: their processes end, their SRP credentials are revoked, and connection services that served them alone go with them',
      )
      .action(async (names: string[], flags: { yes?: true }, command) => {
        if (!flags.yes) await confirm(frame, `${names.join(', ')}: retire for good?`);
        const rest = await frame.rest(command);
        const answers: unknown[] = [];
        for (const name of names) {
          const answer = await rest.send('POST', `/instances/${segment(name)}/retire`);
          answers.push(answer);
          if (!frame.wantsJson(command)) frame.say(retiredText(retired.parse(answer)));
        }
        if (frame.wantsJson(command)) frame.show(command, { retired: answers }, () => '');
      }),
    'bramble instance retire server-1 server-2',
  );
}

function retiredText({ name, connectionServices }: z.output<typeof retired>): string {
  const withIt = connectionServices.length === 0 ? '' : `, and with it ${connectionServices.join(', ')}`;
  return `The instance ${name} is retired${withIt}: its process ends, its SRP credential is revoked.`;
}
