/** `bramble authority`. */
import type { Command } from 'commander';
import { type AuthorityList, authorityOperations } from '../../api/authorities.ts';
import { counted } from '../../base/counted.ts';
import { dayText } from '../../base/time-text.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { columns, type Style } from '../text-output.ts';

export function addAuthorityCommands(program: Command, frame: Frame): void {
  const authorities = program.command('authority').description('the authorities of the domain');
  example(
    authorities
      .command('list')
      .description('list the authorities, and the identities that a former device authority is kept for')
      .action(async (_flags: object, command) => {
        await frame.ask(command, authorityOperations.list, {}, authorityText);
      }),
    'bramble authority list',
  );
  example(
    confirmable(authorities.command('roll'))
      .description('replace the device authority: a new one issues identities, and every device renews its own')
      .action(async (flags: { yes?: true }, command) => {
        if (!flags.yes) {
          await confirm(frame, 'Replace the device authority? Every device renews its identity, under the budget.');
        }
        await frame.ask(command, authorityOperations.roll, {}, authorityText);
      }),
    'bramble authority roll',
  );
}

function authorityText({ authorities, former }: AuthorityList, style: Style): string {
  const list = columns(style, authorities, {
    name: (row) => row.name,
    subject: (row) => row.subject,
    ends: (row) => dayText(row.endsAt),
    fingerprint: (row) => row.fingerprint,
  });
  if (former === null) return list;
  const { valid, ended } = former;
  const left = `${counted(valid, 'valid identity', 'valid identities')} of the former device authority ${valid === 1 ? 'is' : 'are'} left`;
  return `${list}\n\n${left}${ended === 0 ? '' : `, and ${ended} that have ended`}; it is retired when none is valid.`;
}
