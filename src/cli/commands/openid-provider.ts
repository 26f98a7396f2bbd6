/** `bramble openid-provider`. */
import type { Command } from 'commander';
import { openidProviderOperations, type ProviderChange, type ProviderView } from '../../api/openid-providers.ts';
import { readInputFile } from '../../base/input-file.ts';
import { collectNames } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { typedSecret } from '../secret-input.ts';
import { cell, columns, facts, type Style, table } from '../text-output.ts';
import { addRemoval } from './removal.ts';

export function addOpenidProviderCommands(program: Command, frame: Frame): void {
  const providers = program
    .command('openid-provider')
    .alias('openid-providers')
    .description('OpenID providers at which administrators sign in, and who gets which role there');
  addAdd(providers, frame);
  addList(providers, frame);
  addShow(providers, frame);
  addSet(providers, frame);
  addMap(providers, frame);
  addUnmap(providers, frame);
  addTest(providers, frame);
  for (const enabled of [false, true]) addSwitch(providers, frame, enabled);
  addRemoval(providers, frame, {
    usage: 'remove <name>',
    description: 'let nobody sign in there any more; administrators who did stay, without a way in',
    operation: openidProviderOperations.remove,
    question: (name) => `Nobody will sign in at ${name} any more, and its rules are gone. Remove it?`,
    done: (name) => `The OpenID provider ${name} is removed.`,
    example: 'bramble openid-provider remove keycloak',
  });
}

interface Flags {
  issuer: string;
  clientId?: string;
  secretFile?: string;
  title?: string;
  scopes?: string[];
  claim?: string;
  nameClaim?: string;
  ca?: string;
  secondFactor?: boolean;
}

/** Those that can be changed. */
function withSettings(command: Command): Command {
  return command
    .option('--secret-file <file>', 'a file with the client’s secret, - for standard input')
    .option('--title <text>', 'what the sign-in page calls it')
    .option('--scopes <names>', 'what is asked for beside openid (default: profile)', collectNames)
    .option('--claim <name>', 'the claim that `map` looks at, such as realm_access.roles (default: groups)')
    .option('--name-claim <name>', 'the claim that names a new administrator (default: preferred_username)')
    .option('--ca <file>', 'PEM file with the CA that is trusted instead of the system’s')
    .option('--second-factor', 'it asks everybody for a second factor, also where its answers do not say so')
    .option('--no-second-factor', 'only where an answer says so (mfa in amr) was one asked for');
}

async function settingsOf(frame: Frame, flags: Omit<Flags, 'issuer' | 'clientId'>) {
  const { secretFile, title, scopes, claim, nameClaim, ca, secondFactor: asksFactor } = flags;
  const secret = secretFile === undefined ? undefined : await typedSecret(frame, secretFile);
  const caPem = ca === undefined ? undefined : await readInputFile(ca);
  return { secret, title, scopes, claim, nameClaim, caPem, asksFactor };
}

function addAdd(providers: Command, frame: Frame): void {
  const command = providers
    .command('add <name>')
    .description('add one; nobody is let in until `map` says who')
    .requiredOption('--issuer <url>', 'as the provider writes it')
    .requiredOption('--client-id <id>', 'what the provider calls this domain');
  example(
    withSettings(command).action(async (name: string, { issuer, clientId = '', ...flags }: Flags, own) => {
      const body = { name, issuer, clientId, ...(await settingsOf(frame, flags)) };
      await frame.ask(own, openidProviderOperations.add, { body }, addedText);
    }),
    'bramble openid-provider add keycloak --issuer https://id.example.org/realms/staff --client-id bramble --secret-file -',
  );
}

function addedText({ name, returnPath }: ProviderView): string {
  return (
    `The OpenID provider ${name} is added. Have it know the console’s address followed by ${returnPath} as redirect URI, and say ` +
    `who gets which role: \`bramble openid-provider map ${name} VALUE --role ROLE\`.`
  );
}

function addList(providers: Command, frame: Frame): void {
  example(
    providers
      .command('list')
      .description('list them')
      .action(async (_flags: object, command) => {
        await frame.ask(command, openidProviderOperations.list, {}, (answer, style) =>
          columns(style, answer.providers, {
            name: (row) => row.name,
            title: (row) => row.title,
            issuer: (row) => row.issuer,
            enabled: (row) => cell(row.enabled),
            rules: (row) => String(row.rules.length),
            administrators: (row) => String(row.administrators),
          }),
        );
      }),
    'bramble openid-provider list',
  );
}

function addShow(providers: Command, frame: Frame): void {
  example(
    providers
      .command('show <name>')
      .description('show one, with who gets which role')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, openidProviderOperations.show, { params: { name } }, providerText);
      }),
    'bramble openid-provider show keycloak',
  );
}

function providerText(provider: ProviderView, style: Style): string {
  const about = facts(style, [
    ['title', provider.title],
    ['issuer', provider.issuer],
    ['client', provider.clientId],
    ['secret', provider.hasSecret ? 'set' : '-'],
    ['scopes', cell(['openid', ...provider.scopes])],
    ['named by', provider.nameClaim],
    ['roles by', provider.claim],
    ['own authority', cell(provider.caPem !== null)],
    ['redirect URI', `the console’s address, and ${provider.returnPath}`],
    ['second factor', provider.asksFactor ? 'asked of everybody' : 'where it says so'],
    ['enabled', cell(provider.enabled)],
    ['administrators', String(provider.administrators)],
  ]);
  return `${about}\n\n${rulesText(provider, style)}`;
}

function rulesText({ claim, rules }: ProviderView, style: Style): string {
  const rows = rules.map(({ value, role, groups }) => [value, role, groups === null ? 'all' : cell(groups)]);
  return table(style, [claim, 'role', 'groups'], rows);
}

function addSet(providers: Command, frame: Frame): void {
  const command = providers
    .command('set <name>')
    .description('change its settings; sessions that began there end, unless only the title changes')
    .option('--client-id <id>', 'what the provider calls this domain');
  example(
    withSettings(command).action(async (name: string, { clientId, ...flags }: Flags, own) => {
      const body = { clientId, ...(await settingsOf(frame, flags)) };
      await frame.ask(own, openidProviderOperations.change, { params: { name }, body }, providerText);
    }),
    'bramble openid-provider set keycloak --secret-file new-secret',
  );
}

type Rules = NonNullable<ProviderChange['rules']>;

/** The rules as they are, changed; refused if somebody else changes them meanwhile. Sessions that began there end. */
async function changeRules(
  frame: Frame,
  command: Command,
  name: string,
  changed: (rules: Rules) => Rules,
): Promise<void> {
  const client = await frame.client(command);
  const provider = await client.call(openidProviderOperations.show, { params: { name } });
  const request = { params: { name }, body: { rules: changed(provider.rules) }, revision: provider.revision };
  await frame.ask(command, openidProviderOperations.change, request, rulesText);
}

function addMap(providers: Command, frame: Frame): void {
  example(
    providers
      .command('map <name> <value>')
      .description('give a role to those whose claim has this value; of several that fit, the first counts')
      .requiredOption('--role <role>', 'such as security, enterprise or junior-helpdesk')
      .option('--group <names>', 'limit them to these groups, separated by commas', collectNames)
      .option('--first', 'before the rules that are there, instead of behind them')
      .action(async (name: string, value: string, flags: { role: string; group?: string[]; first?: true }, command) => {
        const rule = { value, role: flags.role, groups: flags.group ?? null };
        await changeRules(frame, command, name, (rules) => {
          const others = rules.filter((one) => one.value !== value || one.role !== flags.role);
          return flags.first ? [rule, ...others] : [...others, rule];
        });
      }),
    'bramble openid-provider map keycloak bramble-helpdesk --role junior-helpdesk --group sales',
  );
}

function addUnmap(providers: Command, frame: Frame): void {
  example(
    providers
      .command('unmap <name> <value>')
      .description('give nothing any more for this value; sessions that began there end')
      .action(async (name: string, value: string, _flags: object, command) => {
        await changeRules(frame, command, name, (rules) => rules.filter((rule) => rule.value !== value));
      }),
    'bramble openid-provider unmap keycloak bramble-helpdesk',
  );
}

function addTest(providers: Command, frame: Frame): void {
  example(
    providers
      .command('test <name>')
      .description('ask it what it says of itself, and whether that can be used')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, openidProviderOperations.test, { params: { name } }, (said, style) =>
          said.usable ? `${style.green('usable:')} ${said.answer}` : `${style.red('not usable:')} ${said.answer}`,
        );
      }),
    'bramble openid-provider test keycloak',
  );
}

function addSwitch(providers: Command, frame: Frame, enabled: boolean): void {
  const verb = enabled ? 'enable' : 'disable';
  example(
    providers
      .command(`${verb} <name>`)
      .description(enabled ? 'let administrators sign in there again' : 'let nobody sign in there; their sessions end')
      .action(async (name: string, _flags: object, command) => {
        const request = { params: { name }, body: { enabled } };
        await frame.ask(command, openidProviderOperations.change, request, () => `${name} is ${verb}d.`);
      }),
    `bramble openid-provider ${verb} keycloak`,
  );
}
