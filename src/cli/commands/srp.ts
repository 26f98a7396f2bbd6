/** `bramble srp`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { example, type Frame, query, segment } from '../frame.ts';
import { table, timeText } from '../text-output.ts';

export function addSrpCommands(program: Command, frame: Frame): void {
  const srp = program.command('srp').description('SRP credentials: what instances prove themselves with to routers');
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
}

function addList(srp: Command, frame: Frame): void {
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
}

function addRevoke(srp: Command, frame: Frame): void {
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
}

function addClear(srp: Command, frame: Frame): void {
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
