/** `bramble instance`, `bramble connection-service` and `bramble srp`. */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { collect, collectNames } from '../arguments.ts';
import { example, type Frame, query, segment } from '../frame.ts';
import { cell, table, timeText } from '../text-output.ts';

const added = z.object({
  name: z.string(),
  srpIdentifier: z.string(),
  host: z.string(),
  credential: z.record(z.string(), z.unknown()).nullable(),
});

export function addInstanceCommands(program: Command, frame: Frame): void {
  const instances = program.command('instance').alias('instances').description('server instances');

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

  const services = program
    .command('connection-service')
    .alias('connection-services')
    .description('connection services, through which devices reach internal hosts');

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

async function addHolder(
  frame: Frame,
  command: Command,
  path: string,
  body: object,
  file: string | undefined,
): Promise<void> {
  const rest = await frame.rest(command);
  const answer = await rest.send('POST', path, body);
  const made = added.parse(answer);
  if (file !== undefined && made.credential !== null) {
    await writeFile(file, `${JSON.stringify(made.credential, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  }
  frame.show(command, answer, () => {
    const head = `${made.name} was added with the SRP identifier ${made.srpIdentifier}; the supervisor of ${made.host} starts it.`;
    if (made.credential === null) return head;
    if (file !== undefined) return `${head}\nIts credential is in ${file}: put it into BRAMBLE_HOME/credentials there.`;
    return `${head}\nIts credential, shown this once:\n${JSON.stringify(made.credential, null, 2)}`;
  });
}

export function addSrpCommands(program: Command, frame: Frame): void {
  const srp = program.command('srp').description('SRP credentials: what instances prove themselves with to routers');

  example(
    srp
      .command('issue <identifier>')
      .description('issue another credential; earlier ones stay valid until revoked')
      .action(async (identifier: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: '/srp-credentials',
          body: { identifier },
          shape: z.object({
            serial: z.string(),
            expiresAt: z.string(),
            path: z.string().nullable(),
            credential: z.unknown(),
          }),
          text: (issued) =>
            `Issued ${issued.serial}, valid until ${timeText(issued.expiresAt)}.\n` +
            (issued.path === null
              ? `The credential, shown this once:\n${JSON.stringify(issued.credential, null, 2)}`
              : `It was put into ${issued.path}.`),
        });
      }),
    'bramble srp issue S10000001',
  );

  example(
    srp
      .command('list [identifier]')
      .description('list credentials that have not expired')
      .action(async (identifier: string | undefined, _flags: object, command) => {
        await frame.ask(command, {
          path: `/srp-credentials${query({ identifier })}`,
          shape: z.object({
            credentials: z.array(
              z.object({
                serial: z.string(),
                identifier: z.string(),
                issuedAt: z.string(),
                expiresAt: z.string(),
                revokedAt: z.string().nullable(),
              }),
            ),
          }),
          text: (answer, style) =>
            table(
              style,
              ['identifier', 'serial', 'issued', 'expires', 'revoked'],
              answer.credentials.map((row) => [
                row.identifier,
                row.serial,
                timeText(row.issuedAt),
                timeText(row.expiresAt),
                timeText(row.revokedAt),
              ]),
            ),
        });
      }),
    'bramble srp list S10000001',
  );

  example(
    srp
      .command('revoke <serial>')
      .description('revoke a credential; routers refuse it and close its links')
      .action(async (serial: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'DELETE',
          path: `/srp-credentials/${segment(serial)}`,
          shape: z.object({ identifier: z.string(), listNumber: z.number() }),
          text: (answer) => `Revoked for ${answer.identifier}, number ${answer.listNumber} of the routers' list.`,
        });
      }),
    'bramble srp revoke 5f0c3a9d',
  );

  example(
    srp
      .command('clear <identifier>')
      .description('lift the suspension of an identifier')
      .action(async (identifier: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/srp-credentials/${segment(identifier)}/clear`,
          shape: z.object({ identifier: z.string(), listNumber: z.number() }),
          text: (answer) => `${answer.identifier} is cleared, number ${answer.listNumber} of the routers' list.`,
        });
      }),
    'bramble srp clear S10000001',
  );
}
