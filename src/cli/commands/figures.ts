/** `bramble figures`: what the domain did lately, as small charts. */
import { type Command, InvalidArgumentError } from 'commander';
import { type FigurePoint, figureOperations } from '../../api/figures.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { collectNames } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { columns, type Style } from '../text-output.ts';

interface Flags {
  subject?: string[];
  last: number;
}

export function addFigureCommands(program: Command, frame: Frame): void {
  example(
    program
      .command('figures')
      .description('connects, errors, latency and deliveries of the last 30 days')
      .option(
        '--subject <names>',
        'domain, instance:NAME or router:NAME, with commas between; default domain',
        collectNames,
      )
      .option('--last <time>', 'how far back, such as 90m, 6h or 7d', duration, 60 * minuteMs)
      .action(async ({ subject, last }: Flags, command) => {
        const query = {
          from: new Date(Date.now() - last).toISOString(),
          ...(subject === undefined ? {} : { subjects: subject.join(',') }),
        };
        await frame.ask(command, figureOperations.show, { query }, figuresText);
      }),
    'bramble figures --last 6h',
    'bramble figures --subject instance:server-1 --json',
  );
}

const minuteMs = 60_000;
const unitMs: Readonly<Record<string, number>> = { m: minuteMs, h: 60 * minuteMs, d: 1440 * minuteMs };

function duration(text: string): number {
  const [, count, unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  if (count === undefined) throw new InvalidArgumentError('use a time such as 90m, 6h or 7d.');
  return Number(count) * (unitMs[unit] ?? 0);
}

type Answer = AnswerOf<typeof figureOperations.show>;

const shown: Readonly<Record<string, (point: FigurePoint) => number | null>> = {
  connects: ({ connects }) => connects,
  errors: ({ errors }) => errors,
  'requests at routers': ({ requests }) => requests,
  'failed at routers': ({ failed }) => failed,
  'latency p50, ms': ({ p50Ms }) => p50Ms,
  'latency p99, ms': ({ p99Ms }) => p99Ms,
  'deliveries waiting': ({ waiting }) => waiting,
  'deliveries in flight': ({ inFlight }) => inFlight,
  'silent devices': ({ suspects }) => suspects,
  budget: ({ budget }) => budget,
};

function figuresText({ stepMinutes, series, subjects }: Answer, style: Style): string {
  const charts = series.map(({ subject, points }) => {
    const rows = Object.entries(shown)
      .map(([figure, of]) => ({ figure, values: points.map(of) }))
      .filter(({ values }) => values.some((value) => value !== null));
    return `${style.bold(subject)}, by ${stepMinutes === 1 ? 'minute' : `${stepMinutes} minutes`}\n${columns(
      style,
      rows,
      {
        figure: (row) => row.figure,
        last: ({ values }) => numberText(values.at(-1) ?? null),
        most: ({ values }) => numberText(Math.max(...values.map((value) => value ?? 0))),
        course: ({ values }) => course(values),
      },
    )}`;
  });
  const others = subjects.filter((subject) => !series.some((each) => each.subject === subject));
  const more = others.length === 0 ? [] : [style.dim(`There are figures of ${others.join(', ')}, too.`)];
  return [...charts, ...more].join('\n\n');
}

function numberText(value: number | null): string {
  if (value === null) return '-';
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value));
}

const bars = '▁▂▃▄▅▆▇█';
const courseWidth = 30;

/** A line of bars; the highest value of several steps where there are more than columns, a blank where nothing is known. */
function course(values: readonly (number | null)[]): string {
  const perColumn = Math.max(1, Math.ceil(values.length / courseWidth));
  const columnsOf = Array.from({ length: Math.ceil(values.length / perColumn) }, (_, column) => {
    const known = values.slice(column * perColumn, (column + 1) * perColumn).filter((value) => value !== null);
    return known.length === 0 ? null : Math.max(...known);
  });
  const most = Math.max(...columnsOf.map((value) => value ?? 0));
  return columnsOf
    .map((value) => (value === null ? ' ' : bars[most === 0 ? 0 : Math.ceil((value / most) * (bars.length - 1))]))
    .join('');
}
