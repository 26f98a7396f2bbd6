/** `bramble connection-service`. */
import type { Command } from 'commander';
import { connectionServiceOperations } from '../../api/connection-services.ts';
import { BrambleError } from '../../base/errors.ts';
import { assertNewFile } from '../../base/output-file.ts';
import { collect, collectNames } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns } from '../text-output.ts';
import { showHolder } from './srp-holder.ts';

export function addConnectionServiceCommands(program: Command, frame: Frame): void {
  const services = program
    .command('connection-service')
    .alias('connection-services')
    .description('connection services, through which devices reach internal hosts');
  addList(services, frame);
  addAdd(services, frame);
  addSet(services, frame);
}

function addList(services: Command, frame: Frame): void {
  example(
    services
      .command('list')
      .description('list connection services')
      .action(async (_flags: object, command) => {
        await frame.ask(command, connectionServiceOperations.list, {}, (answer, style) =>
          columns(style, answer.connectionServices, {
            name: (row) => row.name,
            'srp identifier': (row) => row.srpIdentifier,
            instances: (row) => cell(row.instances),
            'allowed hosts': (row) => cell(row.allowedHosts),
          }),
        );
      }),
    'bramble connection-service list',
  );
}

interface AddFlags {
  instances: string[];
  allow: string[];
  host?: string;
  credential?: string;
}

function addAdd(services: Command, frame: Frame): void {
  example(
    services
      .command('add <name>')
      .description('add a connection service for one or more instances and start it')
      .requiredOption(
        '--instance, --instances <names>',
        'the instances that it serves, separated by commas',
        collectNames,
      )
      .option('--allow <host:port>', 'an internal host that devices may reach, may be repeated', collect, [])
      .option('--host <name>', 'the host whose supervisor is to run it')
      .option('--credential <file>', 'where to write the credential when the host is another one')
      .action(async (name: string, { instances, allow, host, credential }: AddFlags, command) => {
        if (credential !== undefined) await assertNewFile(credential, '--credential');
        const client = await frame.client(command);
        const body = { name, instances, allowedHosts: allow, host };
        const added = await client.send(connectionServiceOperations.add, { body });
        await showHolder(frame, command, added, credential);
      }),
    'bramble connection-service add mds-1 --instances berlin --allow mail.example.org:993',
  );
}

function addSet(services: Command, frame: Frame): void {
  example(
    services
      .command('set <name>')
      .description('change the instances or the allowed hosts of a connection service')
      .option('--instance, --instances <names>', 'the instances that it serves, separated by commas', collectNames)
      .option('--allow <host:port>', 'an internal host, may be repeated; replaces the current list', collect, [])
      .option('--allow-none', 'allow no internal hosts', false)
      .action(async (name: string, flags: ChangeFlags, command) => {
        await frame.ask(
          command,
          connectionServiceOperations.change,
          { params: { name }, body: changeOf(flags) },
          (changed) => `The connection service ${changed.name} was changed.`,
        );
      }),
    'bramble connection-service set mds-1 --instances berlin,toronto --allow mail.example.org:993',
  );
}

interface ChangeFlags {
  instances?: string[];
  allow: string[];
  allowNone: boolean;
}

/** @throws BrambleError ERR_USAGE where it is none, or two. */
function changeOf({ instances, allow, allowNone }: ChangeFlags) {
  if (allowNone && allow.length > 0) {
    throw new BrambleError('ERR_USAGE', '--allow and --allow-none cannot be combined.');
  }
  const allowedHosts = allowNone || allow.length > 0 ? allow : undefined;
  if (instances === undefined && allowedHosts === undefined) {
    throw new BrambleError('ERR_USAGE', 'Nothing is to change: give --instances, --allow or --allow-none.');
  }
  return { instances, allowedHosts };
}
