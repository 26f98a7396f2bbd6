/** `bramble move`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { shownJson, shownValue } from '../../base/shown-text.ts';
import { example, type Frame, segment } from '../frame.ts';
import { cell, facts, progressBar, type Style, table, timeText } from '../text-output.ts';
import { watch } from '../watching.ts';

const counts = z.object({
  queued: z.number(),
  reserved: z.number(),
  fenced: z.number(),
  delivering: z.number(),
  settled: z.number(),
  closed: z.number(),
  rolledBack: z.number(),
  cancelled: z.number(),
  outOfReach: z.number(),
});
const batch = z.object({
  batch: z.string(),
  purpose: z.string(),
  state: z.string(),
  pauseReason: z.string().nullable(),
  createdBy: z.string(),
  createdAt: z.string(),
  counts,
});
const detailed = batch.extend({
  open: z.array(
    z.object({
      account: z.string(),
      state: z.string(),
      from: z.string(),
      to: z.string(),
      attempts: z.number(),
      outOfReach: z.boolean(),
      failure: z.string().nullable(),
    }),
  ),
});
const created = z.object({
  batch: z.string(),
  queued: z.number(),
  skipped: z.array(z.object({ account: z.string(), reason: z.string(), next: z.string().optional() })),
});

export function addMoveCommands(program: Command, frame: Frame): void {
  const moves = program.command('move').alias('moves').description('moves of accounts between instances');

  example(
    moves
      .command('start')
      .description('move accounts to an instance; their devices stay served, and pending commands go with them')
      .option('--account <name...>', 'these accounts')
      .option('--group <name>', 'the accounts of this group')
      .option('--from <instance>', 'all accounts of this instance')
      .requiredOption('--to <instance>', 'where they go')
      .action(async (flags: { account?: string[]; group?: string; from?: string; to: string }, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: '/moves',
          body: { accounts: flags.account, group: flags.group, from: flags.from, to: flags.to },
          shape: created,
          text: createdText,
        });
      }),
    'bramble move start --account ada bea --to berlin-2',
  );

  example(
    moves
      .command('status [batch]')
      .description('how the batches stand, or one of them with the accounts that are not done')
      .option('--watch', 'go on until the batch is done', false)
      .action(async (id: string | undefined, flags: { watch: boolean }, command) => {
        if (id === undefined) {
          await frame.ask(command, {
            path: '/moves',
            shape: z.object({ batches: z.array(batch) }),
            text: (answer, style) => batchTable(answer.batches, style),
          });
          return;
        }
        const path = `/moves/${segment(id)}`;
        if (!flags.watch) {
          await frame.ask(command, { path, shape: detailed, text: batchText });
          return;
        }
        const rest = await frame.rest(command);
        await watch({
          output: frame.output,
          look: async () => {
            const answer = detailed.parse(await rest.send('GET', path));
            const text = frame.wantsJson(command) ? shownJson(answer) : batchText(shownValue(answer), frame.style);
            return { text, over: answer.state === 'done' };
          },
        });
      }),
    'bramble move status 0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678 --watch',
  );

  example(
    moves
      .command('pause <batch>')
      .description('start nothing new of a batch')
      .option('--reason <text>', 'shown to everybody who asks why it waits')
      .action(async (id: string, flags: { reason?: string }, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/moves/${segment(id)}/pause`,
          body: { reason: flags.reason },
          shape: batch,
          text: (answer) => `The batch is ${answer.state}.`,
        });
      }),
    'bramble move pause 0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678 --reason "lunch"',
  );

  example(
    moves
      .command('resume <batch>')
      .description('go on with a paused batch')
      .action(async (id: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/moves/${segment(id)}/resume`,
          shape: batch,
          text: (answer) => `The batch is ${answer.state}.`,
        });
      }),
    'bramble move resume 0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678',
  );

  example(
    moves
      .command('back <batch>')
      .description('cancel what has not started and move home what was moved')
      .action(async (id: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/moves/${segment(id)}/back`,
          shape: created,
          text: createdText,
        });
      }),
    'bramble move back 0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678',
  );
}

function createdText(answer: z.output<typeof created>, style: Style): string {
  const head = `${counted(answer.queued, 'account is', 'accounts are')} queued in the batch ${style.bold(answer.batch)}.`;
  if (answer.skipped.length === 0) return head;
  const skipped = answer.skipped.map((row) => [
    row.account,
    row.next === undefined ? row.reason : `${row.reason}: ${row.next}`,
  ]);
  return `${head}\n${table(style, ['skipped', 'why'], skipped)}`;
}

function batchTable(batches: readonly z.output<typeof batch>[], style: Style): string {
  return table(
    style,
    ['batch', 'purpose', 'state', 'done', 'open', 'of these out of reach', 'failed', 'by', 'since', 'why it waits'],
    batches.map((row) => [
      row.batch,
      row.purpose,
      row.state,
      String(row.counts.settled + row.counts.closed),
      String(openOf(row.counts)),
      String(row.counts.outOfReach),
      String(row.counts.rolledBack),
      row.createdBy,
      timeText(row.createdAt),
      cell(row.pauseReason ?? (row.counts.delivering > 0 ? '`bramble deliveries` says' : null)),
    ]),
  );
}

function batchText(answer: z.output<typeof detailed>, style: Style): string {
  const done = answer.counts.settled + answer.counts.closed;
  const total = done + openOf(answer.counts);
  const head = facts(style, [
    ['batch', `${answer.batch} (${answer.purpose}, by ${answer.createdBy})`],
    ['state', answer.pauseReason === null ? answer.state : `${answer.state}: ${answer.pauseReason}`],
    ['settled', progressBar(style, done, total)],
    ['moved', progressBar(style, done + answer.counts.delivering, total)],
  ]);
  if (answer.open.length === 0) return head;
  return `${head}\n\n${table(
    style,
    ['account', 'state', 'from', 'to', 'tries', 'out of reach', 'trouble'],
    answer.open.map((row) => [
      row.account,
      row.state,
      row.from,
      row.to,
      String(row.attempts),
      cell(row.outOfReach),
      cell(row.failure),
    ]),
  )}`;
}

function openOf(of: z.output<typeof counts>): number {
  return of.queued + of.reserved + of.fenced + of.delivering;
}
