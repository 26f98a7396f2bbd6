/** `bramble service`. */
import type { Command } from 'commander';
import { serviceOperations } from '../../api/services.ts';
import { json } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { columns } from '../text-output.ts';
import { addHostServiceCommands } from './host-service.ts';
import { doneText } from './owed-text.ts';

const settingsHelp = `
Settings ({account} stands for the account's name):
  CMIME  {"protocol": "imap", "address", "incoming": SERVER, "outgoing": SERVER},
         or {"protocol": "exchange", "address", "host", "useTls"?, "username"?,
         "pastDays"?: 0, 1, 3, 7, 14 or 31}
  CICAL  SERVER
  SYNC   SERVER
  IPPP   {"matchDomains": [...], "excludedDomains"?: [...]}
  SERVER is {"host", "port"?, "useTls"?, "username"?}: by default the port of
  the protocol, true and {account}.`;

export function addServiceCommands(program: Command, frame: Frame): void {
  const services = program
    .command('service')
    .alias('services')
    .description('services for which devices get service books; and Bramble itself as a service of this host');
  addList(services, frame);
  addSet(services, frame);
  addDelete(services, frame);
  addHostServiceCommands(services, frame);
}

function addList(services: Command, frame: Frame): void {
  example(
    services
      .command('list')
      .description('list services with their settings')
      .action(async (_flags: object, command) => {
        await frame.ask(command, serviceOperations.list, {}, (answer, style) =>
          columns(style, answer.services, {
            service: (row) => row.type.replace(/^\[|\]$/g, ''),
            settings: (row) => JSON.stringify(row.settings),
          }),
        );
      }),
    'bramble service list',
  );
}

function addSet(services: Command, frame: Frame): void {
  example(
    services
      .command('set')
      .argument('<type>', 'CMIME (mail), CICAL (calendar), SYNC (contacts) or IPPP (internal hosts)')
      .argument('<settings>', 'JSON, or @file with JSON in it', json)
      .description('set up a service')
      .addHelpText('after', settingsHelp)
      .action(async (type: string, settings: Record<string, unknown>, _flags: object, command) => {
        await frame.ask(command, serviceOperations.set, { params: { type }, body: { settings } }, doneText);
      }),
    `bramble service set CMIME '{"protocol":"exchange","address":"{account}@example.org","host":"mail.example.org"}'`,
    `bramble service set IPPP '{"matchDomains":["corp.example.org"]}'`,
  );
}

function addDelete(services: Command, frame: Frame): void {
  example(
    services
      .command('delete <type>')
      .description('remove a service')
      .action(async (type: string, _flags: object, command) => {
        await frame.ask(command, serviceOperations.delete, { params: { type } }, doneText);
      }),
    'bramble service delete SYNC',
  );
}
