/** `bramble retention`. */
import { type Command, InvalidArgumentError } from 'commander';
import { retentionOperations, type ShownRetention } from '../../api/retention.ts';
import { BrambleError } from '../../base/errors.ts';
import { timeText } from '../../base/time-text.ts';
import { example, type Frame } from '../frame.ts';
import { columns, type Style } from '../text-output.ts';

export function addRetentionCommands(program: Command, frame: Frame): void {
  const retention = program.command('retention').description('how long the audit, events and samples are kept');
  addShow(retention, frame);
  addSet(retention, frame);
}

function addShow(retention: Command, frame: Frame): void {
  example(
    retention
      .command('show')
      .description('show how long each is kept, and the oldest that is there')
      .action(async (_flags: object, command) => {
        await frame.ask(command, retentionOperations.show, {}, retentionText);
      }),
    'bramble retention show',
  );
}

interface Flags {
  audit?: number | null;
  events?: number | null;
  samples?: number;
}

function addSet(retention: Command, frame: Frame): void {
  example(
    retention
      .command('set')
      .description('change how long each is kept; others stay as they are')
      .option('--audit <time>', '30d or more, or forever; what is older is cut off, without an export', days)
      .option('--events <time>', '7d or more, or forever', days)
      .option('--samples <time>', 'figures of requests, which gates compare with: 2d to 90d', days)
      .action(async ({ audit, events, samples }: Flags, command) => {
        const body = {
          ...(audit === undefined ? {} : { auditDays: audit }),
          ...(events === undefined ? {} : { eventDays: events }),
          ...(samples === undefined ? {} : { sampleDays: samples }),
        };
        if (Object.keys(body).length === 0) {
          throw new BrambleError('ERR_USAGE', 'Say what to change: --audit, --events or --samples.');
        }
        await frame.ask(command, retentionOperations.change, { body }, retentionText);
      }),
    'bramble retention set --audit 400d --events 90d',
  );
}

/** Null: for ever. */
function days(text: string): number | null {
  if (text === 'forever') return null;
  const [, number, unit] = /^(\d{1,6})([dwy])$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('use days, weeks or years, such as 400d, or forever.');
  return Number(number) * (unit === 'y' ? 365 : unit === 'w' ? 7 : 1);
}

function retentionText({ audit, events, samples }: ShownRetention, style: Style): string {
  const rows = [
    { what: 'audit', ...audit },
    { what: 'events', ...events },
    { what: 'samples', ...samples, oldest: null },
  ];
  return columns(style, rows, {
    what: (row) => row.what,
    'kept for': (row) => (row.days === null ? 'ever' : `${row.days} days`),
    oldest: (row) => timeText(row.oldest),
  });
}
