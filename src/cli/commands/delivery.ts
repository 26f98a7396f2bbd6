/** `bramble budget`, `bramble deliveries`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { collectValues, number } from '../arguments.ts';
import { example, type Frame, query } from '../frame.ts';
import { cell, columns, facts, type Style, timeText } from '../text-output.ts';

export function addBudgetCommands(program: Command, frame: Frame): void {
  const budget = program.command('budget').description('how much may be with devices at the same time');
  const shape = z.record(z.string(), z.number());
  const text = (answer: z.output<typeof shape>, style: Style): string =>
    facts(
      style,
      Object.entries(answer).map(([key, value]) => [key, String(value)]),
    );
  example(
    budget
      .command('show')
      .description('show the budget')
      .action(async (_flags: object, command) => {
        await frame.ask(command, { path: '/budget', shape, text });
      }),
    'bramble budget show',
  );
  example(
    budget
      .command('set <name=value...>')
      .description(
        'change perInstance, perDomain, suspects, perMinuteInstance, perMinuteDomain, suspectAfterSeconds; the rest stays',
      )
      .action(async (values: string[], _flags: object, command) => {
        let body: Record<string, unknown> = {};
        for (const value of values) body = collectValues(value, body);
        await frame.ask(command, { method: 'PUT', path: '/budget', body, shape, text });
      }),
    'bramble budget set perInstance=10 perMinuteDomain=120',
  );
}

export function addDeliveriesCommand(program: Command, frame: Frame): void {
  example(
    program
      .command('deliveries')
      .description('deliveries, each with what it waits for')
      .option('--state <state>', 'open, owed, released, handed-out, suspect, done, failed or superseded', 'open')
      .option('--limit <number>', 'at most so many', number, 200)
      .action(async (flags: { state: string; limit: number }, command) => {
        await frame.ask(command, {
          path: `/deliveries${query(flags)}`,
          shape: z.object({
            deliveries: z.array(
              z.object({
                account: z.string(),
                deviceId: z.string(),
                deviceModel: z.string().nullable(),
                item: z.string(),
                cause: z.string(),
                state: z.string(),
                instance: z.string().nullable(),
                owedAt: z.string(),
                waitingFor: z.string().nullable(),
                failure: z.string().nullable(),
              }),
            ),
          }),
          text: (answer, style) =>
            columns(style, answer.deliveries, {
              account: (row) => row.account,
              device: (row) => `${row.deviceModel ?? '?'} ${row.deviceId.slice(-8)}`,
              item: (row) => row.item,
              'because of': (row) => row.cause,
              state: (row) => row.state,
              instance: (row) => cell(row.instance),
              owed: (row) => timeText(row.owedAt),
              why: (row) => cell(row.waitingFor ?? row.failure),
            }),
        });
      }),
    'bramble deliveries --state suspect',
  );
}
