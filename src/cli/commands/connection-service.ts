/** `bramble connection-service`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { collect, collectNames } from '../arguments.ts';
import { example, type Frame, segment } from '../frame.ts';
import { cell, table } from '../text-output.ts';
import { addHolder } from './srp-holder.ts';

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
        await frame.ask(command, {
          path: '/connection-services',
          shape: z.object({
            connectionServices: z.array(
              z.looseObject({
                name: z.string(),
                srpIdentifier: z.string(),
                instances: z.array(z.string()),
                allowedHosts: z.array(z.string()),
              }),
            ),
          }),
          text: (answer, style) =>
            table(
              style,
              ['name', 'srp identifier', 'instances', 'allowed hosts'],
              answer.connectionServices.map((row) => [
                row.name,
                row.srpIdentifier,
                cell(row.instances),
                cell(row.allowedHosts),
              ]),
            ),
        });
      }),
    'bramble connection-service list',
  );
}

function addAdd(services: Command, frame: Frame): void {
  example(
    services
      .command('add <name>')
      .description('add a connection service of one or several instances and have it started')
      .requiredOption(
        '--instance, --instances <names>',
        'the instances that it is to serve, with commas between',
        collectNames,
      )
      .option('--allow <host:port>', 'an internal host that devices may reach, may be repeated', collect, [])
      .option('--host <name>', 'the host whose supervisor is to run it')
      .option('--credential <file>', 'where to write the credential when the host is another one')
      .action(
        async (
          name: string,
          flags: { instances: string[]; allow: string[]; host?: string; credential?: string },
          command,
        ) => {
          const body = { name, instances: flags.instances, allowedHosts: flags.allow, host: flags.host };
          await addHolder(frame, command, '/connection-services', body, flags.credential);
        },
      ),
    'bramble connection-service add mds-1 --instances berlin --allow mail.example.org:993',
  );
}

function addSet(services: Command, frame: Frame): void {
  example(
    services
      .command('set <name>')
      .description('change the instances or the allowed hosts of a connection service')
      .option('--instance, --instances <names>', 'the instances that it is to serve, with commas between', collectNames)
      .option('--allow <host:port>', 'an internal host, may be repeated; replaces those there were', collect, [])
      .option('--allow-none', 'no internal host any more', false)
      .action(async (name: string, flags: { instances?: string[]; allow: string[]; allowNone: boolean }, command) => {
        if (flags.allowNone && flags.allow.length > 0) {
          throw new BrambleError('ERR_USAGE', '--allow and --allow-none are two things: give one of them.');
        }
        const allowedHosts = flags.allowNone || flags.allow.length > 0 ? flags.allow : undefined;
        if (flags.instances === undefined && allowedHosts === undefined) {
          throw new BrambleError('ERR_USAGE', 'Nothing is to change: give --instances, --allow or --allow-none.');
        }
        await frame.ask(command, {
          method: 'PATCH',
          path: `/connection-services/${segment(name)}`,
          body: { instances: flags.instances, allowedHosts },
          shape: z.looseObject({ name: z.string() }),
          text: (changed) => `The connection service ${changed.name} was changed.`,
        });
      }),
    'bramble connection-service set mds-1 --instances berlin,toronto --allow mail.example.org:993',
  );
}
