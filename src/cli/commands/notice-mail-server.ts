/** `bramble notice mail-server`. */
import type { Command } from 'commander';
import { type MailServerView, noticeOperations } from '../../api/notices.ts';
import { readInputFile } from '../../base/input-file.ts';
import { number, unvalidated } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { typedSecret } from '../secret-input.ts';
import { cell, facts, type Style } from '../text-output.ts';

export function addMailServer(notices: Command, frame: Frame): void {
  const servers = notices.command('mail-server').description('the server that mail is handed to');
  example(
    servers
      .command('show')
      .description('show it')
      .action(async (_flags: object, command) => {
        await frame.ask(command, noticeOperations.mailServer, {}, ({ mailServer }, style) =>
          mailServer === null ? style.dim('none') : mailServerText(mailServer, style),
        );
      }),
    'bramble notice mail-server show',
  );
  addSetMailServer(servers, frame);
  example(
    servers
      .command('remove')
      .description('forget it; notices for mail addresses wait, and are given up in the end')
      .action(async (_flags: object, command) => {
        await frame.ask(command, noticeOperations.removeMailServer, {}, () => 'The mail server is removed.');
      }),
    'bramble notice mail-server remove',
  );
}

interface MailServerFlags {
  sender: string;
  port?: number;
  security?: string;
  user?: string;
  passwordFile?: string;
  ca?: string;
}

const usualPorts: Readonly<Record<string, number>> = { tls: 465, starttls: 587, none: 25 };

function addSetMailServer(servers: Command, frame: Frame): void {
  example(
    servers
      .command('set <host>')
      .description('set it; replaces all settings')
      .requiredOption('--sender <address>', 'the address that mail comes from')
      .option('--port <number>', 'its port (default: 465 with tls, 587 with starttls, 25 without)', number)
      .option(
        '--security <how>',
        'tls (from the start), starttls (asked for and insisted on) or none (default: tls with port 465, otherwise starttls)',
      )
      .option('--user <name>', 'the user name that it wants')
      .option(
        '--password-file <file>',
        'a file with the password, - for standard input (default: the present one stays)',
      )
      .option('--ca <file>', 'PEM file with the CA that is trusted instead of the system’s')
      .action(async (host: string, flags: MailServerFlags, command) => {
        const { sender, user, passwordFile, ca } = flags;
        const security = flags.security ?? (flags.port === 465 ? 'tls' : 'starttls');
        const caPem = ca === undefined ? null : await readInputFile(ca);
        const password = passwordFile === undefined ? undefined : await typedSecret(frame, passwordFile);
        const body = {
          ...{ host, sender, caPem, password, username: user ?? null },
          ...{ port: flags.port ?? usualPorts[security] ?? 587, security: unvalidated<'tls'>(security) },
        };
        await frame.ask(command, noticeOperations.setMailServer, { body }, mailServerText);
      }),
    'bramble notice mail-server set mail.example.org --sender bramble@example.org --user bramble --password-file -',
  );
}

function mailServerText(server: MailServerView, style: Style): string {
  return facts(style, [
    ['host', `${server.host}:${server.port}`],
    ['security', server.security],
    ['sender', server.sender],
    ['user', cell(server.username)],
    ['password', server.hasPassword ? 'set' : '-'],
    ['own authority', cell(server.caPem !== null)],
  ]);
}
