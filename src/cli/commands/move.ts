/** `bramble move`. */
import type { Command } from 'commander';
import { type CreatedBatch, type MoveBatchView, type MoveBatchWithMoves, moveOperations } from '../../api/moves.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { timeText } from '../../base/time-text.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns, facts, progressBar, type Style, table } from '../text-output.ts';

export function addMoveCommands(program: Command, frame: Frame): void {
  const moves = program.command('move').alias('moves').description('moves of accounts between instances');
  addStart(moves, frame);
  addStatus(moves, frame);
  addPause(moves, frame);
  addResume(moves, frame);
  addBack(moves, frame);
}

interface StartFlags {
  account?: string[];
  group?: string;
  from?: string;
  to: string;
}

function addStart(moves: Command, frame: Frame): void {
  example(
    moves
      .command('start')
      .description(
        'move accounts to another instance; their devices are served throughout, and pending commands move with ' +
          'them',
      )
      .option('--account <name...>', 'these accounts')
      .option('--group <name>', 'the accounts of this group')
      .option('--from <instance>', 'all accounts of this instance')
      .requiredOption('--to <instance>', 'the instance to move them to')
      .action(async ({ account: accounts, ...selection }: StartFlags, command) => {
        if ([accounts, selection.group, selection.from].filter((given) => given !== undefined).length !== 1) {
          throw new BrambleError('ERR_USAGE', 'Give exactly one of --account, --group and --from: whom to move.');
        }
        await frame.ask(command, moveOperations.start, { body: { accounts, ...selection } }, createdText);
      }),
    'bramble move start --account ada bea --to berlin-2',
  );
}

function addStatus(moves: Command, frame: Frame): void {
  example(
    moves
      .command('status [batch]')
      .description('show the state of all batches, or of one with its unfinished accounts')
      .option('--watch', 'keep watching until the batch is done', false)
      .action(async (batch: string | undefined, flags: { watch: boolean }, command) => {
        if (batch === undefined) {
          await frame.ask(command, moveOperations.list, {}, ({ batches }, style) => batchTable(batches, style));
          return;
        }
        const request = { params: { batch } };
        if (!flags.watch) await frame.ask(command, moveOperations.show, request, batchText);
        else await frame.watch(command, moveOperations.show, request, batchText, ({ state }) => state === 'done');
      }),
    'bramble move status 0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678 --watch',
  );
}

function addPause(moves: Command, frame: Frame): void {
  example(
    moves
      .command('pause <batch>')
      .description('start no further moves of a batch')
      .option('--reason <text>', 'shown to anyone who asks why it is paused')
      .action(async (batch: string, { reason }: { reason?: string }, command) => {
        await frame.ask(command, moveOperations.pause, { params: { batch }, body: { reason } }, stateText);
      }),
    'bramble move pause 0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678 --reason "lunch"',
  );
}

function addResume(moves: Command, frame: Frame): void {
  example(
    moves
      .command('resume <batch>')
      .description('resume a paused batch')
      .action(async (batch: string, _flags: object, command) => {
        await frame.ask(command, moveOperations.resume, { params: { batch } }, stateText);
      }),
    'bramble move resume 0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678',
  );
}

function stateText({ state }: MoveBatchView): string {
  return `The batch is ${state}.`;
}

function addBack(moves: Command, frame: Frame): void {
  example(
    moves
      .command('back <batch>')
      .description('cancel moves that have not started and move the other accounts back')
      .action(async (batch: string, _flags: object, command) => {
        await frame.ask(command, moveOperations.back, { params: { batch } }, createdText);
      }),
    'bramble move back 0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678',
  );
}

function createdText(answer: CreatedBatch, style: Style): string {
  const head = `${counted(answer.queued, 'account is', 'accounts are')} queued in the batch ${style.bold(answer.batch)}.`;
  if (answer.skipped.length === 0) return head;
  const skipped = answer.skipped.map((row) => [
    row.account,
    row.next === undefined ? row.reason : `${row.reason}: ${row.next}`,
  ]);
  return `${head}\n${table(style, ['skipped', 'why'], skipped)}`;
}

function batchTable(batches: readonly MoveBatchView[], style: Style): string {
  return columns(style, batches, {
    batch: (row) => row.batch,
    purpose: (row) => row.purpose,
    state: (row) => row.state,
    settled: (row) => String(row.counts.settled + row.counts.closed),
    open: (row) => String(openOf(row)),
    'out of reach': (row) => String(row.counts.outOfReach),
    failed: (row) => String(row.counts.rolledBack),
    by: (row) => row.createdBy,
    since: (row) => timeText(row.createdAt),
    reason: (row) => cell(row.pauseReason ?? waitText(row.counts)),
  });
}

function batchText(answer: MoveBatchWithMoves, style: Style): string {
  const settled = answer.counts.settled + answer.counts.closed;
  const total = settled + openOf(answer);
  const head = facts(style, [
    ['batch', `${answer.batch} (${answer.purpose}, by ${answer.createdBy})`],
    ['state', answer.pauseReason === null ? answer.state : `${answer.state}: ${answer.pauseReason}`],
    ['moved', progressBar(style, settled + answer.counts.delivering, total)],
    ['settled', progressBar(style, settled, total)],
  ]);
  if (answer.open.length === 0) return head;
  const moves = columns(style, answer.open, {
    account: (row) => row.account,
    state: (row) => row.state,
    from: (row) => row.from,
    to: (row) => row.to,
    tries: (row) => String(row.attempts),
    'out of reach': (row) => cell(row.outOfReach),
    failure: (row) => cell(row.failure),
  });
  return `${head}\n\n${moves}`;
}

/** What an unpaused batch waits for; `bramble deliveries` has the reason for each delivery. */
function waitText({ queued, reserved, fenced, delivering, outOfReach }: MoveBatchView['counts']): string | null {
  const answering = delivering - outOfReach;
  if (answering > 0) return `waiting for devices of ${counted(answering, 'account')} to answer`;
  const moving = queued + reserved + fenced;
  return moving > 0 ? `${counted(moving, 'account')} still to be moved` : null;
}

function openOf({ counts }: Pick<MoveBatchView, 'counts'>): number {
  return counts.queued + counts.reserved + counts.fenced + counts.delivering;
}
