/** `bramble administrator show | reset | second-factor`: what administrators sign in with. */
import { type Command, Option } from 'commander';
import { administratorOperations } from '../../api/administrators.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { type ShownSecondFactorRule, secondFactorOperations } from '../../api/second-factor.ts';
import { shownValue } from '../../base/shown-text.ts';
import { timeText } from '../../base/time-text.ts';
import { collectNames } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns, facts, type Style } from '../text-output.ts';
import { showLink } from './shown-link.ts';

type Administrator = AnswerOf<typeof administratorOperations.show>;

export function factorsText({ asksTotp, passkeys, lacksFactor, provider }: Administrator): string {
  if (provider !== null) return `at ${provider}`;
  const has = [
    ...(asksTotp ? ['authenticator'] : []),
    ...(passkeys === 0 ? [] : [passkeys === 1 ? 'passkey' : `${passkeys} passkeys`]),
  ];
  return has.length > 0 ? has.join(', ') : lacksFactor ? 'to be set up' : 'none';
}

export function addShow(administrators: Command, frame: Frame): void {
  example(
    administrators
      .command('show <name>')
      .description('show an administrator and his passkeys')
      .action(async (name: string, _flags: object, command) => {
        const client = await frame.client(command);
        const request = { params: { name } };
        const one = await client.call(administratorOperations.show, request);
        const { passkeys } = await client.call(administratorOperations.listPasskeys, request);
        frame.show(command, { ...one, passkeys }, (_, style) =>
          administratorText(style, shownValue(one), shownValue(passkeys)),
        );
      }),
    'bramble administrator show grace',
  );
}

function administratorText(
  style: Style,
  one: Administrator,
  passkeys: AnswerOf<typeof administratorOperations.listPasskeys>['passkeys'],
): string {
  const about = facts(style, [
    ['name', one.displayName === '' ? one.name : `${one.name} (${one.displayName})`],
    ['role', one.role],
    ['groups', one.groups === null ? 'all' : cell(one.groups)],
    ['state', one.state],
    ['password', one.provider !== null ? '-' : one.hasPassword ? 'chosen' : 'to be chosen'],
    ['second factor', factorsText(one)],
    ['sessions', String(one.sessions)],
    ['added', `${timeText(one.createdAt)}, by ${one.createdBy}`],
  ]);
  if (passkeys.length === 0) return about;
  const list = columns(style, passkeys, {
    passkey: (row) => row.name,
    for: (row) => row.host,
    added: (row) => timeText(row.createdAt),
    'last used': (row) => timeText(row.usedAt),
  });
  return `${about}\n\n${list}`;
}

type Factor = 'password' | 'totp' | 'passkeys';

export function addReset(administrators: Command, frame: Frame): void {
  example(
    confirmable(administrators.command('reset <name>'))
      .description('take away what somebody signs in with, and all sessions; shows an address for a new password')
      .addOption(new Option('--only <factor>', 'take only this away').choices(['password', 'totp', 'passkeys']))
      .action(async (name: string, { only, yes }: { only?: Factor; yes?: true }, command) => {
        const what = only === undefined ? `Everything that ${name} signs in with` : `${goes[only]} of ${name}`;
        if (!yes) await confirm(frame, `${what} will be gone, and all sessions end. Go on?`);
        const request = { params: { name } };
        if (only === 'totp' || only === 'passkeys') {
          const operation =
            only === 'totp' ? administratorOperations.removeTotp : administratorOperations.removePasskeys;
          await frame.ask(command, operation, request, () => `${what} is gone.`);
          return;
        }
        const operation = only === undefined ? administratorOperations.reset : administratorOperations.resetPassword;
        const client = await frame.client(command);
        await showLink(frame, command, await client.call(operation, request), `${name} signs in here`);
      }),
    'bramble administrator reset grace',
    'bramble administrator reset grace --only totp',
  );
}

const goes = { password: 'The password', totp: 'The authenticator', passkeys: 'Every passkey' } as const;

interface RuleFlags {
  everybody?: true;
  role?: string[];
  nobody?: true;
}

export function addSecondFactor(administrators: Command, frame: Frame): void {
  example(
    administrators
      .command('second-factor')
      .description('show or say of whom a passkey, or an authenticator beside the password, is asked')
      .addOption(new Option('--everybody', 'ask everybody for one').conflicts(['role', 'nobody']))
      .addOption(
        new Option('--role <names>', 'ask who has these roles, separated by commas, and nobody else')
          .argParser(collectNames)
          .conflicts('nobody'),
      )
      .option('--nobody', 'leave it to each')
      .action(async ({ everybody, role, nobody }: RuleFlags, command) => {
        if (everybody === undefined && role === undefined && nobody === undefined) {
          await frame.ask(command, secondFactorOperations.show, {}, ruleText);
          return;
        }
        const body = { everybody: everybody === true, roles: role ?? [] };
        await frame.ask(command, secondFactorOperations.change, { body }, ruleText);
      }),
    'bramble administrator second-factor --role security,enterprise',
  );
}

function ruleText({ everybody, roles, lacking }: ShownSecondFactorRule, style: Style): string {
  const whom = everybody ? 'everybody' : roles.length === 0 ? 'nobody' : `the roles ${roles.join(', ')}`;
  return facts(style, [
    ['asked of', whom],
    ['to be set up by', lacking.length === 0 ? 'nobody' : lacking.join(', ')],
  ]);
}
