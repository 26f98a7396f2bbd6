/** `bramble policy`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { readAnswer } from '../../api/client.ts';
import { deviceCommandOperations } from '../../api/device-commands.ts';
import { type ItPolicy, itPolicyOperations } from '../../api/it-policies.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { timeText } from '../../base/time-text.ts';
import { collectValues } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns, table } from '../text-output.ts';
import { deletedText, doneText, owedText } from './owed-text.ts';

export function addPolicyCommands(program: Command, frame: Frame): void {
  const policies = program.command('policy').alias('policies').description('IT policies');
  addList(policies, frame);
  addShow(policies, frame);
  addSet(policies, frame);
  addDelete(policies, frame);
  addAssign(policies, frame);
  addSend(policies, frame);
  addRules(policies, frame);
}

function addList(policies: Command, frame: Frame): void {
  example(
    policies
      .command('list')
      .description('list IT policies')
      .action(async (_flags: object, command) => {
        await frame.ask(command, itPolicyOperations.list, {}, (answer, style) =>
          columns(style, answer.policies, {
            name: (row) => row.name,
            rules: (row) => String(Object.keys(row.rules).length),
            preconfigured: (row) => cell(row.preconfigured),
            changed: (row) => timeText(row.changedAt),
          }),
        );
      }),
    'bramble policy list',
  );
}

function addShow(policies: Command, frame: Frame): void {
  example(
    policies
      .command('show <name>')
      .description('show the rules of an IT policy')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, itPolicyOperations.show, { params: { name } }, ({ rules }, style) =>
          // As they are typed.
          table(
            style,
            ['rule', 'value'],
            Object.entries(rules).map(([rule, value]) => [rule, String(value)]),
          ),
        );
      }),
    'bramble policy show Default',
  );
}

interface SetFlags {
  rule: Record<string, unknown>;
  keep: boolean;
  empty: boolean;
}

function addSet(policies: Command, frame: Frame): void {
  example(
    policies
      .command('set <name>')
      .description('create an IT policy or replace its rules; the new one is sent to devices')
      .option('--rule <name=value>', 'a rule; may be repeated', collectValues, {})
      .option('--keep', 'keep the rules that are not named', false)
      .option('--empty', 'remove all rules', false)
      .action(async (name: string, flags: SetFlags, command) => {
        if (flags.keep && flags.empty) throw new BrambleError('ERR_USAGE', '--keep and --empty cannot be combined.');
        const client = await frame.client(command);
        const { policies: known } = await client.call(itPolicyOperations.list, {});
        const existing = known.find((candidate) => candidate.name === name);
        if (existing === undefined) {
          const created = await client.send(itPolicyOperations.create, { body: { name, rules: flags.rule } });
          frame.show(command, created, () => createdText(name, flags));
          return;
        }
        const rules = rulesOf(existing, flags);
        const changed = await client.send(itPolicyOperations.replaceRules, { params: { name }, body: { rules } });
        frame.show(
          command,
          changed,
          () => changedText(existing, rules) + owedText(readAnswer(itPolicyOperations.replaceRules, changed)),
        );
      }),
    'bramble policy set Strict --rule passwordRequired=true --rule passwordMinimumLength=8',
  );
}

/** @throws BrambleError ERR_USAGE if nothing would change, or all rules would be lost silently */
function rulesOf({ name, rules }: ItPolicy, { rule, keep, empty }: SetFlags): Record<string, unknown> {
  if (Object.keys(rule).length === 0 && !empty) {
    const known = Object.keys(rules).length;
    throw new BrambleError(
      'ERR_USAGE',
      known === 0 || keep
        ? `Nothing is to change: the IT policy ${name} has ${rulesText(known)}. Name rules with --rule.`
        : `Without --rule the IT policy ${name} would lose its ${rulesText(known)}. Name rules, with --keep to keep ` +
            'the others, or give --empty.',
    );
  }
  return { ...(keep ? rules : {}), ...rule };
}

function createdText(name: string, { rule }: SetFlags): string {
  const count = Object.keys(rule).length;
  const then = count === 0 ? 'without rules; give it some with --rule' : `with ${rulesText(count)}`;
  return `The IT policy ${name} was created ${then}.`;
}

function changedText({ name, rules }: ItPolicy, now: Readonly<Record<string, unknown>>): string {
  const removed = Object.keys(rules).filter((rule) => !Object.hasOwn(now, rule));
  const lost = removed.length === 0 ? '' : `, ${removed.length} removed (${removed.join(', ')})`;
  return `The IT policy ${name} was changed: ${rulesText(Object.keys(now).length)} now${lost}; `;
}

function rulesText(count: number): string {
  return count === 0 ? 'no rules' : counted(count, 'rule');
}

function addDelete(policies: Command, frame: Frame): void {
  example(
    confirmable(policies.command('delete <name>'))
      .description('delete an IT policy; the next policy in order then applies to its accounts')
      .action(async (name: string, flags: { yes?: true }, command) => {
        const params = { name };
        if (!flags.yes) {
          const { assigned } = await (await frame.client(command)).call(itPolicyOperations.show, { params });
          if (assigned.accounts + assigned.groups > 0) await confirm(frame, deletionQuestion(name, assigned));
        }
        await frame.ask(command, itPolicyOperations.delete, { params }, deletedText);
      }),
    'bramble policy delete Strict',
    'bramble policy delete Strict --yes',
  );
}

type Assigned = AnswerOf<typeof itPolicyOperations.show>['assigned'];

function deletionQuestion(name: string, { accounts, groups, devices }: Assigned): string {
  return (
    `The IT policy ${name} is assigned to ${counted(accounts, 'account')} and ${counted(groups, 'group')}: ` +
    `${counted(devices, 'device')} will get the next policy in order. Delete it?`
  );
}

function addAssign(policies: Command, frame: Frame): void {
  example(
    policies
      .command('assign <policy>')
      .description('assign an IT policy to accounts or a group')
      .option('--account <name...>', 'these accounts')
      .option('--group <name>', 'this group')
      .action(async (policy: string, { account = [], group }: { account?: string[]; group?: string }, command) => {
        const client = await frame.client(command);
        if (account.length === 0 && group === undefined) {
          throw new BrambleError('ERR_USAGE', 'Name --account or --group.');
        }
        const body = { policy };
        let deliveriesOwed = 0;
        for (const name of account) {
          deliveriesOwed += (await client.call(itPolicyOperations.assignToAccount, { params: { name }, body }))
            .deliveriesOwed;
        }
        if (group !== undefined) {
          const params = { name: group };
          deliveriesOwed += (await client.call(itPolicyOperations.assignToGroup, { params, body })).deliveriesOwed;
        }
        frame.show(command, { deliveriesOwed }, doneText);
      }),
    'bramble policy assign Strict --account ada bea',
  );
}

function addSend(policies: Command, frame: Frame): void {
  example(
    policies
      .command('send <device>')
      .description('send a device its IT policy again, regardless of the budget')
      .action(async (id: string, _flags: object, command) => {
        const request = { params: { id }, body: { item: 'it-policy' } } as const;
        await frame.ask(command, deviceCommandOperations.resend, request, () => 'The IT policy will be sent again.');
      }),
    'bramble policy send 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );
}

function addRules(policies: Command, frame: Frame): void {
  example(
    policies
      .command('rules')
      .description('list the IT policy rules of this release')
      .action(async (_flags: object, command) => {
        await frame.ask(command, itPolicyOperations.listRules, {}, (answer, style) =>
          columns(style, answer.rules, {
            rule: (row) => row.name,
            value: (row) => valuesText(row.values),
            group: (row) => row.group,
            needs: (row) =>
              Object.entries(row.least)
                .map(([family, version]) => `${family} ${version}`)
                .join(', '),
            meaning: (row) => row.description,
          }),
        );
      }),
    'bramble policy rules',
  );
}

/** Of the JSON Schema of a rule's value. */
const ruleValues = z.object({
  type: z.string().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
});

function valuesText(values: Readonly<Record<string, unknown>>): string {
  const { type, minimum, maximum } = ruleValues.parse(values);
  if (type === 'boolean') return 'true, false';
  return minimum !== undefined && maximum !== undefined ? `${minimum} to ${maximum}` : cell(type);
}
