/** `bramble budget`, `bramble deliveries`. */
import type { Command } from 'commander';
import { type AskedDeliveryState, askedDeliveryStates, deliveryOperations } from '../../api/deliveries.ts';
import { timeText } from '../../base/time-text.ts';
import { collectValues, number, unvalidated } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { afterText } from '../paging-words.ts';
import { cell, columns, facts, moreText, type Style } from '../text-output.ts';

export function addBudgetCommands(program: Command, frame: Frame): void {
  const budget = program.command('budget').description('how many deliveries may be in flight at the same time');
  addShow(budget, frame);
  addSet(budget, frame);
}

function addShow(budget: Command, frame: Frame): void {
  example(
    budget
      .command('show')
      .description('show the budget')
      .action(async (_flags: object, command) => {
        await frame.ask(command, deliveryOperations.showBudget, {}, budgetText);
      }),
    'bramble budget show',
  );
}

function addSet(budget: Command, frame: Frame): void {
  example(
    budget
      .command('set <name=value...>')
      .description(
        'change perInstance, perDomain, suspects, perMinuteInstance, perMinuteDomain or suspectAfterSeconds; others ' +
          'stay as they are',
      )
      .action(async (values: string[], _flags: object, command) => {
        let body: Record<string, unknown> = {};
        for (const value of values) body = collectValues(value, body);
        await frame.ask(command, deliveryOperations.changeBudget, { body }, budgetText);
      }),
    'bramble budget set perInstance=10 perMinuteDomain=120',
  );
}

/** What the number of a setting counts. */
const budgetUnits: Readonly<Record<string, string>> = {
  perInstance: 'deliveries in flight per instance',
  perDomain: 'deliveries in flight in the domain',
  suspects: 'silent devices in the domain',
  perMinuteInstance: 'deliveries per minute and instance',
  perMinuteDomain: 'deliveries per minute in the domain',
  suspectAfterSeconds: 'seconds of silence until a device is a suspect',
};

/** By the names that `budget set` takes, with settings that only the service's release has. */
function budgetText(_budget: object, style: Style, sent: unknown): string {
  return facts(
    style,
    Object.entries(sent as object).map(([key, value]) => [key, `${String(value)} ${budgetUnits[key] ?? ''}`.trimEnd()]),
  );
}

export function addDeliveriesCommand(program: Command, frame: Frame): void {
  example(
    program
      .command('deliveries')
      .description('list deliveries, each with what it is waiting for')
      .option('--state <state>', `only in this state: ${askedDeliveryStates.join(', ')}`, 'open')
      .option('--after <next>', afterText)
      .option('--limit <number>', 'maximum number of deliveries', number, 200)
      .action(async ({ state, ...page }: { state: string; after?: string; limit: number }, command) => {
        const query = { state: unvalidated<AskedDeliveryState>(state), ...page };
        await frame.ask(
          command,
          deliveryOperations.list,
          { query },
          (answer, style) =>
            columns(style, answer.deliveries, {
              account: (row) => row.account,
              device: (row) => row.deviceId,
              model: (row) => cell(row.deviceModel),
              item: (row) => row.item,
              'because of': (row) => row.cause,
              state: (row) => row.state,
              instance: (row) => cell(row.instance),
              owed: (row) => timeText(row.owedAt),
              why: (row) => cell(row.waitingFor ?? row.failure),
            }) + moreText(style, '--after', answer.next),
        );
      }),
    'bramble deliveries --state suspect',
  );
}
