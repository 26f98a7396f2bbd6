/** `bramble policy` and `bramble service`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { collectValues, json } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame, segment } from '../frame.ts';
import { cell, table, timeText } from '../text-output.ts';

const policy = z.object({
  name: z.string(),
  preconfigured: z.boolean(),
  rules: z.record(z.string(), z.unknown()),
  changedAt: z.string(),
});
const owed = z.object({ deliveriesOwed: z.number() });

interface PolicyFlags {
  rule: Record<string, unknown>;
  keep: boolean;
  empty: boolean;
}

const deliveriesAreOwed = (count: number) => `${counted(count, 'delivery is', 'deliveries are')} owed to devices.`;

const assignedPolicy = z.object({
  assigned: z.object({ accounts: z.number(), groups: z.number(), devices: z.number() }),
});

/** Of the JSON Schema that tells what a rule may be. */
const ruleValues = z.object({
  type: z.string().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
});

function valuesText({ type, minimum, maximum }: z.output<typeof ruleValues>): string {
  if (type === 'boolean') return 'true, false';
  return minimum !== undefined && maximum !== undefined ? `${minimum} to ${maximum}` : cell(type);
}

export function addPolicyCommands(program: Command, frame: Frame): void {
  const policies = program.command('policy').alias('policies').description('IT policies');

  example(
    policies
      .command('list')
      .description('list IT policies')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/it-policies',
          shape: z.object({ policies: z.array(policy) }),
          text: (answer, style) =>
            table(
              style,
              ['name', 'rules', 'preconfigured', 'changed'],
              answer.policies.map((row) => [
                row.name,
                String(Object.keys(row.rules).length),
                cell(row.preconfigured),
                timeText(row.changedAt),
              ]),
            ),
        });
      }),
    'bramble policy list',
  );

  example(
    policies
      .command('show <name>')
      .description('show the rules of an IT policy')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, {
          path: `/it-policies/${segment(name)}`,
          shape: policy,
          text: (answer, style) =>
            table(
              style,
              ['rule', 'value'],
              // As they are typed.
              Object.entries(answer.rules).map(([rule, value]) => [rule, String(value)]),
            ),
        });
      }),
    'bramble policy show Default',
  );

  example(
    policies
      .command('set <name>')
      .description('create an IT policy or replace its rules; devices are owed the new one')
      .option('--rule <name=value>', 'a rule, may be repeated', collectValues, {})
      .option('--keep', 'keep rules that are not named', false)
      .option('--empty', 'take all rules away', false)
      .action(async (name: string, flags: PolicyFlags, command) => {
        const rest = await frame.rest(command);
        const { policies: known } = z
          .object({ policies: z.array(policy) })
          .parse(await rest.send('GET', '/it-policies'));
        const existing = known.find((candidate) => candidate.name === name);
        if (existing !== undefined && Object.keys(flags.rule).length === 0 && !flags.empty) {
          throw new BrambleError(
            'ERR_USAGE',
            `Without --rule the IT policy ${name} would lose its ${counted(Object.keys(existing.rules).length, 'rule')}. Name ` +
              'rules, with --keep to keep the others, or say --empty.',
          );
        }
        const rules = { ...(flags.keep ? existing?.rules : {}), ...flags.rule };
        const answer =
          existing === undefined
            ? await rest.send('POST', '/it-policies', { name, rules })
            : await rest.send('PUT', `/it-policies/${segment(name)}`, { rules });
        const { deliveriesOwed } = z.object({ deliveriesOwed: z.number().default(0) }).parse(answer);
        frame.show(command, answer, () =>
          existing === undefined
            ? `The IT policy ${name} was created.`
            : `The IT policy ${name} was changed; ${deliveriesAreOwed(deliveriesOwed)}`,
        );
      }),
    'bramble policy set Strict --rule passwordRequired=true --rule passwordMinimumLength=8',
  );

  example(
    confirmable(policies.command('delete <name>'))
      .description('delete an IT policy; its accounts return to what is below it')
      .action(async (name: string, flags: { yes?: true }, command) => {
        if (!flags.yes) {
          const rest = await frame.rest(command);
          const { assigned } = assignedPolicy.parse(await rest.send('GET', `/it-policies/${segment(name)}`));
          if (assigned.accounts + assigned.groups > 0) {
            await confirm(
              frame,
              `The IT policy ${name} is assigned to ${counted(assigned.accounts, 'account')} and ` +
                `${counted(assigned.groups, 'group')}: ${counted(assigned.devices, 'device')} will be sent what is below it. ` +
                'Delete it?',
            );
          }
        }
        await frame.ask(command, {
          method: 'DELETE',
          path: `/it-policies/${segment(name)}`,
          shape: owed,
          text: (answer) => `Deleted; ${deliveriesAreOwed(answer.deliveriesOwed)}`,
        });
      }),
    'bramble policy delete Strict',
    'bramble policy delete Strict --yes',
  );

  example(
    policies
      .command('assign <policy>')
      .description('assign an IT policy to accounts or a group')
      .option('--account <name...>', 'these accounts')
      .option('--group <name>', 'this group')
      .action(async (name: string, flags: { account?: string[]; group?: string }, command) => {
        const rest = await frame.rest(command);
        let total = 0;
        const paths = [
          ...(flags.account ?? []).map((account) => `/accounts/${segment(account)}/it-policy`),
          ...(flags.group === undefined ? [] : [`/groups/${segment(flags.group)}/it-policy`]),
        ];
        if (paths.length === 0) throw new BrambleError('ERR_USAGE', 'Name --account or --group.');
        for (const path of paths) total += owed.parse(await rest.send('PUT', path, { policy: name })).deliveriesOwed;
        frame.show(command, { deliveriesOwed: total }, () => `Done; ${deliveriesAreOwed(total)}`);
      }),
    'bramble policy assign Strict --account ada bea',
  );

  example(
    policies
      .command('send <device>')
      .description('send a device its IT policy again, not held back by the budget')
      .action(async (device: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/devices/${segment(device)}/resend`,
          body: { item: 'it-policy' },
          shape: owed,
          text: () => 'The IT policy will be sent again.',
        });
      }),
    'bramble policy send 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );

  example(
    policies
      .command('rules')
      .description('list the rules that an IT policy can hold in this release')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/it-policies/rules',
          shape: z.object({
            rules: z.array(
              z.object({
                name: z.string(),
                group: z.string(),
                description: z.string(),
                least: z.record(z.string(), z.string()),
                values: ruleValues.default({}),
              }),
            ),
          }),
          text: (answer, style) =>
            table(
              style,
              ['rule', 'value', 'group', 'needs', 'meaning'],
              answer.rules.map((rule) => [
                rule.name,
                valuesText(rule.values),
                rule.group,
                Object.entries(rule.least)
                  .map(([family, version]) => `${family} ${version}`)
                  .join(', '),
                rule.description,
              ]),
            ),
        });
      }),
    'bramble policy rules',
  );
}

const settingsHelp = `
Settings, {account} standing for the account's name:
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
    .description('services that devices get service books for');

  example(
    services
      .command('list')
      .description('list services with their settings')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/services',
          shape: z.object({ services: z.array(z.object({ type: z.string(), settings: z.unknown() })) }),
          text: (answer, style) =>
            table(
              style,
              ['service', 'settings'],
              answer.services.map((row) => [row.type.replace(/^\[|\]$/g, ''), JSON.stringify(row.settings)]),
            ),
        });
      }),
    'bramble service list',
  );

  example(
    services
      .command('set')
      .argument('<type>', 'CMIME (mail), CICAL (calendar), SYNC (contacts) or IPPP (internal hosts)')
      .argument('<settings>', 'JSON, or @file with JSON in it', json)
      .description('set up a service')
      .addHelpText('after', settingsHelp)
      .action(async (type: string, settings: unknown, _flags: object, command) => {
        await frame.ask(command, {
          method: 'PUT',
          path: `/services/${segment(type)}`,
          body: { settings },
          shape: owed,
          text: (answer) => `Done; ${deliveriesAreOwed(answer.deliveriesOwed)}`,
        });
      }),
    `bramble service set CMIME '{"protocol":"exchange","address":"{account}@example.org","host":"mail.example.org"}'`,
    `bramble service set IPPP '{"matchDomains":["corp.example.org"]}'`,
  );

  example(
    services
      .command('delete <type>')
      .description('take a service away')
      .action(async (type: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'DELETE',
          path: `/services/${segment(type)}`,
          shape: owed,
          text: (answer) => `Done; ${deliveriesAreOwed(answer.deliveriesOwed)}`,
        });
      }),
    'bramble service delete SYNC',
  );
}
