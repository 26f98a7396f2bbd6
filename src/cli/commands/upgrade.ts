/** `bramble upgrade`: over REST, answered by an administration service or, while none runs, by the upgrade coordinator. */
import type { Command } from 'commander';
import { z } from 'zod';
import { collectValues, json, number } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { cell, facts, progressBar, type Style, table } from '../text-output.ts';
import { watch } from '../watching.ts';

const wave = z.looseObject({
  number: z.number(),
  name: z.string().optional(),
  state: z.string(),
  accounts: z.number().optional(),
  moved: z.number().optional(),
  settled: z.number().optional(),
  gate: z.unknown().optional(),
});
/** What is sure of the upgrade's answers; the rest is shown as it comes. */
const upgrade = z.looseObject({
  fromRelease: z.string().optional(),
  toRelease: z.string().optional(),
  state: z.string(),
  pausedFrom: z.string().nullable().optional(),
  pauseReason: z.string().nullable().optional(),
  waves: z.array(wave).optional(),
});

const finalStates = new Set(['done', 'reversed', 'cancelled']);

interface PlanFlags {
  canary?: string[];
  wave?: number[];
  soak?: number;
  budget: Record<string, unknown>;
  gate: Record<string, unknown>;
  options?: unknown;
}

export function addUpgradeCommands(program: Command, frame: Frame): void {
  const upgrades = program.command('upgrade').description('the phased upgrade of the domain to the next release');

  example(
    upgrades
      .command('plan [release]')
      .description('plan an upgrade: what it needs, what it sends, how long that takes, what stays locked')
      .option('--canary <account...>', 'accounts that go first')
      .option('--wave <percent...>', 'share of all accounts that has moved when each wave ends', percentages)
      .option('--soak <seconds>', 'how long each wave is watched before its gate decides', number)
      .option('--budget <name=value>', 'budget of the upgrade, may be repeated', collectValues, {})
      .option('--gate <name=value>', 'setting of the gates, may be repeated', collectValues, {})
      .option('--options <json>', 'all other options, as JSON or @file', json)
      .action(async (release: string | undefined, flags: PlanFlags, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: '/upgrade/plan',
          body: planBody(release, flags),
          shape: z.looseObject({}),
          text: (answer, style) => planText(answer, style),
        });
      }),
    'bramble upgrade plan 1.1.0 --canary ada bea --wave 25 50 100 --soak 600',
  );

  for (const [verb, summary] of [
    ['start', 'check the plan and carry it out'],
    ['resume', 'go on with a paused upgrade'],
    ['reverse', 'go back: accounts return, and the release before takes the administration again'],
    ['finalize', 'make it final: there is no way back from here'],
  ] as const) {
    example(
      upgrades
        .command(verb)
        .description(summary)
        .option('--set <name=value>', 'a further field of the request, may be repeated', collectValues, {})
        .action(async (flags: { set: Record<string, unknown> }, command) => {
          await frame.ask(command, {
            method: 'POST',
            path: `/upgrade/${verb}`,
            body: flags.set,
            shape: upgrade,
            text: upgradeText,
          });
        }),
      `bramble upgrade ${verb}`,
    );
  }

  example(
    upgrades
      .command('pause')
      .description('start nothing new; moves under way reach a safe point')
      .option('--reason <text>', 'shown to everybody who asks why it waits')
      .action(async (flags: { reason?: string }, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: '/upgrade/pause',
          body: { reason: flags.reason },
          shape: upgrade,
          text: upgradeText,
        });
      }),
    'bramble upgrade pause --reason "helpdesk is overrun"',
  );

  example(
    upgrades
      .command('status')
      .description('how the upgrade stands')
      .option('--watch', 'go on until it is over, or waits for an operator', false)
      .action(async (flags: { watch: boolean }, command) => {
        if (!flags.watch) {
          await frame.ask(command, { path: '/upgrade', shape: upgrade, text: upgradeText });
          return;
        }
        const rest = await frame.rest(command);
        await watch({
          output: frame.output,
          look: async () => {
            const answer = upgrade.parse(await rest.send('GET', '/upgrade'));
            const text = frame.wantsJson(command) ? JSON.stringify(answer) : upgradeText(answer, frame.style);
            return { text, over: finalStates.has(answer.state) };
          },
        });
      }),
    'bramble upgrade status --watch',
  );

  example(
    upgrades
      .command('report')
      .description('what the upgrade did: waves, deliveries, unavailability, invariants')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/upgrade/report',
          shape: z.looseObject({}),
          text: (answer, style) => planText(answer, style),
        });
      }),
    'bramble upgrade report --json',
  );
}

function percentages(value: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), number(value)];
}

function planBody(release: string | undefined, flags: PlanFlags): Record<string, unknown> {
  const isGiven = (record: Record<string, unknown>): boolean => Object.keys(record).length > 0;
  return {
    ...(typeof flags.options === 'object' ? flags.options : {}),
    ...(release === undefined ? {} : { toRelease: release }),
    ...(flags.canary === undefined ? {} : { canaries: flags.canary }),
    ...(flags.wave === undefined ? {} : { wavePercentages: flags.wave }),
    ...(flags.soak === undefined ? {} : { soakSeconds: flags.soak }),
    ...(isGiven(flags.budget) ? { budget: flags.budget } : {}),
    ...(isGiven(flags.gate) ? { gate: flags.gate } : {}),
  };
}

function upgradeText(answer: z.output<typeof upgrade>, style: Style): string {
  const reason = answer.pauseReason ? `: ${answer.pauseReason}` : '';
  const from = answer.pausedFrom ? ` (in ${answer.pausedFrom})` : '';
  const head = facts(style, [
    ['upgrade', `${cell(answer.fromRelease)} to ${cell(answer.toRelease)}`],
    ['state', `${style.bold(answer.state)}${from}${reason}`],
  ]);
  const waves = answer.waves ?? [];
  if (waves.length === 0) return head;
  const rows = waves.map((row) => [
    String(row.number),
    cell(row.name),
    row.state,
    row.accounts === undefined ? '-' : progressBar(style, row.settled ?? row.moved ?? 0, row.accounts, 20),
    gateText(row.gate),
  ]);
  return `${head}\n\n${table(style, ['wave', 'name', 'state', 'accounts', 'gate'], rows)}`;
}

function gateText(gate: unknown): string {
  const known = z.looseObject({ answer: z.string(), reason: z.string().optional() }).safeParse(gate);
  if (!known.success) return '-';
  return known.data.reason === undefined ? known.data.answer : `${known.data.answer}: ${known.data.reason}`;
}

/** Sections of whatever the answer holds: lists of objects as tables, the rest as label and value. */
function planText(answer: Record<string, unknown>, style: Style): string {
  const simple: [string, string][] = [];
  const sections: string[] = [];
  for (const [key, value] of Object.entries(answer)) {
    const rows = z.array(z.record(z.string(), z.unknown())).min(1).safeParse(value);
    const part = z.record(z.string(), z.unknown()).safeParse(value);
    if (rows.success) {
      const columns = [...new Set(rows.data.flatMap((row) => Object.keys(row)))];
      const cells = rows.data.map((row) => columns.map((column) => cell(row[column])));
      sections.push(`${style.bold(key)}\n${table(style, columns, cells)}`);
    } else if (part.success && Object.keys(part.data).length > 0) {
      const entries = Object.entries(part.data).map(([label, item]): [string, string] => [label, cell(item)]);
      sections.push(`${style.bold(key)}\n${facts(style, entries)}`);
    } else {
      simple.push([key, cell(value)]);
    }
  }
  return [...(simple.length === 0 ? [] : [facts(style, simple)]), ...sections].join('\n\n');
}
