/** `bramble srp`. */
import type { Command } from 'commander';
import { srpCredentialOperations } from '../../api/srp-credentials.ts';
import { timeText } from '../../base/time-text.ts';
import { example, type Frame } from '../frame.ts';
import { columns } from '../text-output.ts';

export function addSrpCommands(program: Command, frame: Frame): void {
  const srp = program.command('srp').description('SRP credentials, with which instances authenticate to routers');
  addIssue(srp, frame);
  addList(srp, frame);
  addRevoke(srp, frame);
  addClear(srp, frame);
}

function addIssue(srp: Command, frame: Frame): void {
  example(
    srp
      .command('issue <identifier>')
      .description('issue another credential; earlier ones stay valid until revoked')
      .action(async (identifier: string, _flags: object, command) => {
        await frame.ask(command, srpCredentialOperations.issue, { body: { identifier } }, (issued) => {
          const head = `Issued ${issued.serial}, valid until ${timeText(issued.expiresAt)}.`;
          return issued.path === null
            ? `${head}\nThe credential, shown this once:\n${JSON.stringify(issued.credential, null, 2)}`
            : `${head}\nIt was written to ${issued.path}.`;
        });
      }),
    'bramble srp issue S10000001',
  );
}

function addList(srp: Command, frame: Frame): void {
  example(
    srp
      .command('list [identifier]')
      .description('list credentials that have not expired')
      .action(async (identifier: string | undefined, _flags: object, command) => {
        await frame.ask(command, srpCredentialOperations.list, { query: { identifier } }, (answer, style) =>
          columns(style, answer.credentials, {
            identifier: (row) => row.identifier,
            serial: (row) => row.serial,
            issued: (row) => timeText(row.issuedAt),
            expires: (row) => timeText(row.expiresAt),
            revoked: (row) => timeText(row.revokedAt),
          }),
        );
      }),
    'bramble srp list S10000001',
  );
}

function addRevoke(srp: Command, frame: Frame): void {
  example(
    srp
      .command('revoke <serial>')
      .description('revoke a credential; routers refuse it and close its links')
      .action(async (serial: string, _flags: object, command) => {
        await frame.ask(
          command,
          srpCredentialOperations.revoke,
          { params: { serial } },
          (answer) => `Revoked for ${answer.identifier}, number ${answer.listNumber} of the routers' list.`,
        );
      }),
    'bramble srp revoke 5f0c3a9d',
  );
}

function addClear(srp: Command, frame: Frame): void {
  example(
    srp
      .command('clear <identifier>')
      .description('lift the suspension of an identifier')
      .action(async (identifier: string, _flags: object, command) => {
        await frame.ask(
          command,
          srpCredentialOperations.clear,
          { params: { identifier } },
          (answer) => `${answer.identifier} is cleared, number ${answer.listNumber} of the routers' list.`,
        );
      }),
    'bramble srp clear S10000001',
  );
}
