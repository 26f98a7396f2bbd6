/** `bramble authority`. */
import { Argument, type Command } from 'commander';
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
      .addArgument(new Argument('[which]', 'what to replace').choices(['device', 'route-signer']).default('device'))
      .description(
        'replace the device authority: a new one issues identities, and every device renews its own. Or the route signer: ' +
          'instances sign routes by a new one, and routers believe both until the former is retired',
      )
      .action(async (which: 'device' | 'route-signer', flags: { yes?: true }, command) => {
        const { question, operation } = rolls[which];
        if (!flags.yes) await confirm(frame, question);
        await frame.ask(command, operation, {}, authorityText);
      }),
    'bramble authority roll',
    'bramble authority roll route-signer',
  );
  example(
    authorities
      .command('revert')
      .addArgument(new Argument('<which>', 'whose rollover').choices(['route-signer']))
      .description('turn back while the former one is not retired: it signs again, and the other one is to be retired')
      .action(async (_which: string, _flags: object, command) => {
        await frame.ask(command, authorityOperations.revertRouteSigner, {}, authorityText);
      }),
    'bramble authority revert route-signer',
  );
  example(
    confirmable(authorities.command('retire'))
      .addArgument(new Argument('<which>', 'whose former one').choices(['route-signer']))
      .description('retire the former one for good, once every component works with the new one')
      .action(async (_which: string, flags: { yes?: true }, command) => {
        if (!flags.yes) await confirm(frame, 'Retire the former route signer? Its key is destroyed.');
        await frame.ask(command, authorityOperations.retireRouteSigner, {}, authorityText);
      }),
    'bramble authority retire route-signer',
  );
}

const rolls = {
  device: {
    operation: authorityOperations.roll,
    question: 'Replace the device authority? Every device renews its identity, under the budget.',
  },
  'route-signer': {
    operation: authorityOperations.rollRouteSigner,
    question: 'Replace the route signer? Nobody notices; retire the former one afterwards.',
  },
} as const;

function authorityText({ authorities, former, routeSigner }: AuthorityList, style: Style): string {
  const list = columns(style, authorities, {
    name: (row) => row.name,
    subject: (row) => row.subject,
    ends: (row) => dayText(row.endsAt),
    fingerprint: (row) => row.fingerprint,
  });
  const rollovers = [
    ...(former === null ? [] : [deviceRollover(former)]),
    ...(routeSigner === null ? [] : [routeSignerRollover(routeSigner)]),
  ];
  return [list, ...rollovers].join('\n\n');
}

function routeSignerRollover({ waitsFor }: NonNullable<AuthorityList['routeSigner']>): string {
  if (waitsFor.length === 0) {
    return 'Every instance signs routes by the new route signer: `bramble authority retire route-signer` ends the former one.';
  }
  return `The route signer is being replaced; not known to sign by the new one: ${waitsFor.join(', ')}.`;
}

function deviceRollover({ valid, ended }: NonNullable<AuthorityList['former']>): string {
  const left = `${counted(valid, 'valid identity', 'valid identities')} of the former device authority ${valid === 1 ? 'is' : 'are'} left`;
  return `${left}${ended === 0 ? '' : `, and ${ended} that have ended`}; it is retired when none is valid.`;
}
