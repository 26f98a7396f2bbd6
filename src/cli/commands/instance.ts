/** `bramble instance`. */
import type { Command } from 'commander';
import { readAnswer } from '../../api/client.ts';
import { instanceOperations } from '../../api/instances.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { assertNewFile } from '../../base/output-file.ts';
import { timeText } from '../../base/time-text.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { columns } from '../text-output.ts';
import { showHolder } from './srp-holder.ts';

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
        await frame.ask(command, instanceOperations.list, {}, (answer, style) =>
          columns(style, answer.instances, {
            name: (row) => row.name,
            'srp identifier': (row) => row.srpIdentifier,
            accounts: (row) => String(row.accountCount),
            devices: (row) => String(row.deviceCount),
            retired: (row) => timeText(row.retiredAt),
          }),
        );
      }),
    'bramble instance list',
  );
}

function addAdd(instances: Command, frame: Frame): void {
  example(
    instances
      .command('add <name>')
      .description('add a server instance with its SRP credential and start it')
      .option('--host <name>', 'the host whose supervisor is to run it (default: that of the administration service)')
      .option('--credential <file>', 'where to write the credential when the host is another one')
      .action(async (name: string, { host, credential }: { host?: string; credential?: string }, command) => {
        if (credential !== undefined) await assertNewFile(credential, '--credential');
        const client = await frame.client(command);
        const added = await client.send(instanceOperations.add, { body: { name, host } });
        await showHolder(frame, command, added, credential);
      }),
    'bramble instance add berlin-2',
  );
}

function addRetire(instances: Command, frame: Frame): void {
  example(
    confirmable(instances.command('retire <name...>'))
      .description(
        'retire instances without accounts: stops their processes, revokes their SRP credentials and removes ' +
          'connection services that served only them',
      )
      .action(async (names: string[], flags: { yes?: true }, command) => {
        if (!flags.yes) await confirm(frame, `Retire ${names.join(', ')} permanently?`);
        const client = await frame.client(command);
        const answers: unknown[] = [];
        for (const name of names) {
          const answer = await client.send(instanceOperations.retire, { params: { name } });
          answers.push(answer);
          if (!frame.wantsJson(command)) frame.say(retiredText(readAnswer(instanceOperations.retire, answer)));
        }
        if (frame.wantsJson(command)) frame.show(command, { retired: answers }, () => '');
      }),
    'bramble instance retire server-1 server-2',
  );
}

function retiredText({ name, connectionServices }: AnswerOf<typeof instanceOperations.retire>): string {
  const withIt = connectionServices.length === 0 ? '' : `, and with it ${connectionServices.join(', ')}`;
  return `The instance ${name} is retired${withIt}: its process ends, its SRP credential is revoked.`;
}
