/** `bramble upgrade`: over REST, answered by an administration service or, while none runs, by the upgrade coordinator. */

import { resolve } from 'node:path';
import type { Command } from 'commander';
import * as z from 'zod';
import { shownJson, shownValue } from '../../base/shown-text.ts';
import type { UpgradeReport } from '../../upgrade/report/report.ts';
import { emptiedText, gateText, planText, reportText } from '../../upgrade/report/report-text.ts';
import { waitLines } from '../../upgrade/report/wait-text.ts';
import type { UpgradePlan } from '../../upgrade/state/upgrade-plan.ts';
import { type AcceptanceFlags, acceptanceOf, acceptanceOptions } from '../acceptance-flags.ts';
import { collectValues, jsonObject, number } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { refuseUnmeantPlan } from '../plan-precautions.ts';
import { cell, facts, progressBar, type Style, table } from '../text-output.ts';
import { watch } from '../watching.ts';

/** What the short form needs of a report. */
const shortReport = z.looseObject({
  release: z.object({ from: z.string(), to: z.string() }),
  state: z.string(),
  position: z.string(),
  pauseReason: z.string().nullable(),
  waitingFor: z.string().nullable(),
  coordinator: z.object({ atWork: z.boolean() }),
  emptied: z.array(z.string()).default([]),
  /** An administration of 1.1 sends none. */
  waits: z
    .array(
      z.looseObject({
        what: z.string(),
        why: z.string(),
        since: z.string().nullable(),
        who: z.array(z.string()),
        until: z.string().nullable(),
        command: z.string().nullable(),
      }),
    )
    .optional(),
  waves: z.array(
    z.looseObject({
      number: z.number(),
      name: z.string(),
      state: z.string(),
      accounts: z.number(),
      settled: z.number(),
      gate: z.record(z.string(), z.unknown()).nullable(),
    }),
  ),
});

const planAnswer = z.looseObject({
  plan: z.unknown(),
  /** A preview of 1.1 does not say. */
  release: z.object({ from: z.string(), to: z.string() }).optional(),
});

const finalStates = new Set(['done', 'reversed', 'cancelled']);

interface PlanFlags extends AcceptanceFlags {
  archive?: string;
  preview: boolean;
  replace: boolean;
  canary?: string[];
  wave?: number[];
  soak?: number;
  inPlace?: boolean;
  budget: Record<string, unknown>;
  gate: Record<string, unknown>;
  options?: Record<string, unknown>;
}

export function addUpgradeCommands(program: Command, frame: Frame): void {
  const upgrades = program
    .command('upgrade')
    .description('the phased upgrade of the domain to the next minor release, or to a later patch');

  example(
    acceptanceOptions(
      upgrades
        .command('plan [release]')
        .description('plan an upgrade: what it needs, what it sends, how long that takes, what stays locked'),
    )
      .option('--archive <file>', 'archive of the release, on the host of the administration service')
      .option('--preview', 'show the plan without writing or installing anything', false)
      .option('--replace', 'put it in the place of a plan that was not started', false)
      .option('--canary <account...>', 'accounts that go first')
      .option('--wave <percent...>', 'share of all accounts that has moved when each wave ends', percentages)
      .option('--soak <seconds>', 'how long each wave is watched before its gate decides', number)
      .option(
        '--in-place',
        'of a patch, and its default: each instance is replaced under its own name, and nobody moves',
      )
      .option('--no-in-place', 'of a patch too: new instances take the accounts over in waves')
      .option(
        '--budget <name=value>',
        'budget of the upgrade, may be repeated: perInstance, perDomain, suspects, perMinuteInstance, perMinuteDomain or suspectAfterSeconds',
        collectValues,
        {},
      )
      .option(
        '--gate <name=value>',
        'setting of the gates, may be repeated: leastRequests, maxErrorRateDifference, latencyFactor, latencySlackMs, maxFailedDeliveryShare, maxSilentDeliveryShare, patienceSeconds or baselineHours',
        collectValues,
        {},
      )
      .option(
        '--options <json>',
        'all other options (soakSeconds, waveDeadlineSeconds, fenceGraceMs, readySeconds, instances, oldInstances, …), as JSON or @file',
        jsonObject,
      )
      .action(async (release: string | undefined, flags: PlanFlags, command) => {
        const body = planBody(release, flags);
        await refuseUnmeantPlan(await frame.rest(command), body);
        await frame.ask(command, {
          method: 'POST',
          path: '/upgrade/plan',
          body,
          shape: planAnswer,
          text: (answer) => plannedText(answer, body['preview'] === true),
        });
      }),
    'bramble upgrade plan 1.2.0 --archive bramble-1.2.0.tgz --canary ada bea --wave 25 50 100 --soak 600',
  );

  example(
    acceptanceOptions(upgrades.command('start').description('check the plan and carry it out'))
      .option('--override <warning...>', 'go on in spite of these warnings')
      .action(async (flags: AcceptanceFlags & { override?: string[] }, command) => {
        const body = { overrides: flags.override ?? [], ...acceptanceOf(flags) };
        await change(frame, command, 'start', body, startedText);
      }),
    'bramble upgrade start --override backup',
  );

  example(
    upgrades
      .command('pause')
      .description('start nothing new; moves under way reach a safe point')
      .option('--reason <text>', 'shown to everybody who asks why it waits')
      .action(async (flags: { reason?: string }, command) => {
        await change(frame, command, 'pause', { reason: flags.reason });
      }),
    'bramble upgrade pause --reason "helpdesk is overrun"',
  );

  example(
    upgrades
      .command('resume')
      .description('go on with a paused upgrade')
      .option('--accept-gate', 'answer for the wave that its gate stopped: it moves to its end unjudged', false)
      .action(async (flags: { acceptGate: boolean }, command) => {
        await change(frame, command, 'resume', { acceptGate: flags.acceptGate });
      }),
    'bramble upgrade resume',
  );

  example(
    upgrades
      .command('reverse')
      .description('go back: accounts return, and the release before takes the administration again')
      .action(async (_flags: object, command) => {
        await change(frame, command, 'reverse', undefined);
      }),
    'bramble upgrade reverse',
  );

  example(
    upgrades
      .command('finalize')
      .description('make it final: there is no way back from here')
      .option(
        '--leave-supervisor <host...>',
        'do not wait for the supervisors of these hosts, which stay of the release before',
      )
      .action(async (flags: { leaveSupervisor?: string[] }, command) => {
        const left = flags.leaveSupervisor;
        await change(frame, command, 'finalize', left === undefined ? undefined : { leaveSupervisors: left });
      }),
    'bramble upgrade finalize',
  );

  example(
    upgrades
      .command('status')
      .description('how the upgrade stands')
      .option('--watch', 'go on until it is over', false)
      .action(async (flags: { watch: boolean }, command) => {
        if (!flags.watch) {
          await frame.ask(command, { path: '/upgrade', shape: shortReport, text: shortText });
          return;
        }
        const rest = await frame.rest(command);
        await watch({
          output: frame.output,
          look: async () => {
            const answer = shortReport.parse(await rest.send('GET', '/upgrade'));
            const text = frame.wantsJson(command) ? shownJson(answer) : shortText(shownValue(answer), frame.style);
            return { text, over: finalStates.has(answer.state) };
          },
        });
      }),
    'bramble upgrade status --watch',
  );

  example(
    upgrades
      .command('report')
      .description('what the upgrade has come to: checks, waves, deliveries, features, course')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/upgrade/report',
          shape: shortReport,
          text: (answer) => reportText(answer as unknown as UpgradeReport).trimEnd(),
        });
      }),
    'bramble upgrade report --json',
  );
}

async function change(
  frame: Frame,
  command: Command,
  verb: string,
  body: unknown,
  text: typeof shortText = shortText,
): Promise<void> {
  await frame.ask(command, { method: 'POST', path: `/upgrade/${verb}`, body, shape: shortReport, text });
}

function plannedText({ plan, release }: z.output<typeof planAnswer>, preview: boolean): string {
  const head = release === undefined ? '' : `Upgrade ${release.from} → ${release.to}\n\n`;
  const next = preview
    ? 'Nothing was written. The same without --preview writes the plan.'
    : 'The plan is written. Next: `bramble upgrade start`, which carries out the checks first.';
  return `${head}${planText(plan as UpgradePlan)}\n${next}`;
}

/** What the upgrade waited for before the start, and what its checks found the last time, is said no more. */
function startedText(answer: z.output<typeof shortReport>, style: Style): string {
  if (answer.state !== 'planned') return shortText(answer, style);
  return facts(style, [
    ['upgrade', `${answer.release.from} to ${answer.release.to}`],
    ['state', style.bold('started; the checks run first')],
    ['next', 'look with `bramble upgrade status`'],
  ]);
}

function percentages(value: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), number(value)];
}

function planBody(release: string | undefined, flags: PlanFlags): Record<string, unknown> {
  const isGiven = (record: Record<string, unknown>): boolean => Object.keys(record).length > 0;
  return {
    ...flags.options,
    ...(flags.preview ? { preview: true } : {}),
    ...(flags.replace ? { replace: true } : {}),
    ...(release === undefined ? {} : { toRelease: release }),
    ...(flags.archive === undefined ? {} : { archive: resolve(flags.archive) }),
    ...(flags.canary === undefined ? {} : { canaries: flags.canary }),
    ...(flags.wave === undefined ? {} : { wavePercentages: flags.wave }),
    ...(flags.soak === undefined ? {} : { soakSeconds: flags.soak }),
    ...acceptanceOf(flags),
    ...(flags.inPlace === undefined ? {} : { inPlace: flags.inPlace }),
    ...(isGiven(flags.budget) ? { budget: flags.budget } : {}),
    ...(isGiven(flags.gate) ? { gate: flags.gate } : {}),
  };
}

function shortText(answer: z.output<typeof shortReport>, style: Style): string {
  const entries: [string, string][] = [
    ['upgrade', `${answer.release.from} to ${answer.release.to}`],
    ['state', style.bold(answer.position)],
  ];
  if (answer.pauseReason !== null) entries.push(['because', answer.pauseReason]);
  if (answer.waits === undefined && answer.waitingFor !== null) entries.push(['waits for', answer.waitingFor]);
  if (!answer.coordinator.atWork && !finalStates.has(answer.state)) {
    entries.push(['coordinator', style.yellow('none is at work')]);
  }
  if (answer.emptied.length > 0) entries.push(['emptied', emptiedText(answer.emptied)]);
  const waits = answer.waits ?? [];
  const waiting = waits.length === 0 ? [] : ['', style.bold('Waits'), ...waitLines(waits)];
  const head = [facts(style, entries), ...waiting].join('\n');
  if (answer.waves.length === 0) return head;
  const rows = answer.waves.map((wave) => [
    String(wave.number),
    wave.name,
    wave.state,
    progressBar(style, wave.settled, wave.accounts, 20),
    cell(gateText(wave.gate) ?? null),
  ]);
  return `${head}\n\n${table(style, ['wave', 'name', 'state', 'accounts settled', 'gate'], rows)}`;
}
