/** `bramble upgrade`: over REST, answered by an administration service or, while none runs, by the upgrade coordinator. */
import type { Command } from 'commander';
import type { AnswerOf } from '../../api/operation.ts';
import { upgradeOperations } from '../../api/upgrade.ts';
import type { OptionsChange } from '../../api/upgrade-options.ts';
import type { UpgradeReport } from '../../api/upgrade-report.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { expectedLines } from '../../upgrade/report/expected-times-text.ts';
import { overrideText } from '../../upgrade/report/override-text.ts';
import { emptiedText, gateWord, reportText, shownWaits } from '../../upgrade/report/report-text.ts';
import { waitLines } from '../../upgrade/report/wait-text.ts';
import { upgradeStates } from '../../upgrade/state/upgrade-states.ts';
import { type AcceptanceFlags, acceptanceOf, acceptanceOptions } from '../acceptance-flags.ts';
import { collectPlaces, jsonObject, type Places } from '../arguments.ts';
import { confirm, confirmable, isTerminal } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns, facts, progressBar, type Style } from '../text-output.ts';
import { addUpgradeEffectsCommand } from './upgrade-effects.ts';
import { type WaveFlags, waveOptions, waveOptionsOf } from './upgrade-options.ts';
import { addUpgradePlanCommand } from './upgrade-plan.ts';
import { addUpgradeRehearseCommand } from './upgrade-rehearse.ts';

/** Of another release's upgrade, too, whose other states are not known here. */
const finalStates: ReadonlySet<string> = new Set(upgradeStates.sets.ended);

export function addUpgradeCommands(program: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const upgrades = program
    .command('upgrade')
    .description('the phased upgrade of the domain to the next minor release, or to a later patch');
  addUpgradePlanCommand(upgrades, frame);
  addStart(upgrades, frame);
  addSet(upgrades, frame);
  addPause(upgrades, frame);
  addResume(upgrades, frame);
  addRetry(upgrades, frame);
  addReverse(upgrades, frame);
  addFinalize(upgrades, frame);
  addStatus(upgrades, frame);
  addReport(upgrades, frame);
  addUpgradeEffectsCommand(upgrades, frame);
  addUpgradeRehearseCommand(upgrades, frame, setExitCode);
}

function addStart(upgrades: Command, frame: Frame): void {
  example(
    acceptanceOptions(upgrades.command('start').description('check the plan and carry it out'))
      .option('--override <warning...>', 'ignore these warnings')
      .action(async ({ override = [], ...flags }: AcceptanceFlags & { override?: string[] }, command) => {
        const body = { overrides: override, ...acceptanceOf(flags) };
        await frame.ask(command, upgradeOperations.start, { body }, startedText);
      }),
    'bramble upgrade start --override backup',
  );
}

function addSet(upgrades: Command, frame: Frame): void {
  example(
    waveOptions(
      upgrades
        .command('set')
        .description('change options of an upgrade that was started; those that are not given stay as they are'),
    )
      .option(
        '--place <instance=host>',
        'add a destination on this host, which shares the accounts of this old instance that have not begun to move; with a share, ' +
          'as in server-1=berlin:2; may be repeated',
        collectPlaces,
        {},
      )
      .option(
        '--options <json>',
        'options that have no flag of their own, as JSON or @file: canariesPerInstance, waveDeadlineSeconds, readySeconds, ' +
          'oldInstances, and addDestinations (--place, where names can be given)',
        jsonObject,
      )
      .action(async ({ options, place, ...flags }: WaveFlags & { options?: OptionsChange; place: Places }, command) => {
        const added = Object.keys(place).length === 0 ? {} : { addDestinations: place };
        const body = { ...options, ...added, ...waveOptionsOf(flags) };
        if (Object.keys(body).length === 0) {
          throw new BrambleError('ERR_USAGE', 'Name an option to change; `bramble upgrade set --help` lists them.');
        }
        await frame.ask(command, upgradeOperations.change, { body }, shortText);
      }),
    'bramble upgrade set --soak 1800',
  );
}

function addPause(upgrades: Command, frame: Frame): void {
  example(
    upgrades
      .command('pause')
      .description('start nothing new; moves in progress reach a safe point')
      .option('--reason <text>', 'shown to anyone who asks why it is paused')
      .action(async ({ reason }: { reason?: string }, command) => {
        await frame.ask(command, upgradeOperations.pause, { body: { reason } }, shortText);
      }),
    'bramble upgrade pause --reason "helpdesk is overrun"',
  );
}

function addResume(upgrades: Command, frame: Frame): void {
  example(
    upgrades
      .command('resume')
      .description('resume a paused upgrade')
      .option(
        '--accept-gate',
        'take responsibility for the wave that its gate stopped, or does not decide on: it finishes without being judged',
        false,
      )
      .action(async ({ acceptGate }: { acceptGate: boolean }, command) => {
        await frame.ask(command, upgradeOperations.resume, { body: { acceptGate } }, shortText);
      }),
    'bramble upgrade resume',
  );
}

function addRetry(upgrades: Command, frame: Frame): void {
  example(
    upgrades
      .command('retry')
      .description('move only the accounts whose moves failed, and send only what devices refused, once more')
      .action(async (_flags: object, command) => {
        await frame.ask(command, upgradeOperations.retry, {}, retriedText);
      }),
    'bramble upgrade retry',
  );
}

function retriedText({ moves, deliveries, pauseReason }: AnswerOf<typeof upgradeOperations.retry>): string {
  const again = [
    ...(moves === 0 ? [] : [`${counted(moves, 'account moves', 'accounts move')} again`]),
    ...(deliveries === 0 ? [] : [`${counted(deliveries, 'delivery is', 'deliveries are')} owed again`]),
  ];
  const text = again.length === 0 ? 'Nothing has failed that could be tried again' : again.join(', and ');
  return pauseReason === null
    ? `${text}.`
    : `${text}. The upgrade is still paused: ${pauseReason}\n\`bramble upgrade resume\` resumes it.`;
}

function addReverse(upgrades: Command, frame: Frame): void {
  example(
    upgrades
      .command('reverse')
      .description('go back: accounts return, and the previous release takes over the administration again')
      .action(async (_flags: object, command) => {
        await frame.ask(command, upgradeOperations.reverse, {}, shortText);
      }),
    'bramble upgrade reverse',
  );
}

function addFinalize(upgrades: Command, frame: Frame): void {
  example(
    confirmable(upgrades.command('finalize'))
      .description('make the upgrade final: there is no way back after this. Asks for confirmation on a terminal')
      .option(
        '--leave-supervisor <host...>',
        'do not wait for the supervisors of these hosts, which stay on the previous release',
      )
      .action(async ({ leaveSupervisor: left, yes }: { leaveSupervisor?: string[]; yes?: true }, command) => {
        if (!yes && isTerminal(frame)) {
          const { state, release } = await (await frame.client(command)).call(upgradeOperations.show, {});
          // In any other state nothing is decided: it is refused, or decided already.
          if (state === 'soaking') await confirm(frame, finalQuestion(release));
        }
        const request = left === undefined ? {} : { body: { leaveSupervisors: left } };
        await frame.ask(command, upgradeOperations.finalize, request, shortText);
      }),
    'bramble upgrade finalize',
  );
}

function finalQuestion({ from, to }: UpgradeReport['release']): string {
  return `The upgrade to ${to} becomes final; accounts cannot go back to ${from}. Finalize it?`;
}

function addStatus(upgrades: Command, frame: Frame): void {
  example(
    upgrades
      .command('status')
      .description('show the state of the upgrade')
      .option('--watch', 'keep watching until it is over', false)
      .action(async (flags: { watch: boolean }, command) => {
        if (!flags.watch) await frame.ask(command, upgradeOperations.show, {}, shortText);
        else await frame.watch(command, upgradeOperations.show, {}, shortText, ({ state }) => finalStates.has(state));
      }),
    'bramble upgrade status --watch',
  );
}

function addReport(upgrades: Command, frame: Frame): void {
  example(
    upgrades
      .command('report')
      .description('full report on the upgrade: checks, waves, deliveries, features, log')
      .action(async (_flags: object, command) => {
        await frame.ask(command, upgradeOperations.report, {}, (report) => reportText(report).trimEnd());
      }),
    'bramble upgrade report --json',
  );
}

/** Omits what the upgrade waited for before the start, and the last findings of its checks. */
function startedText(answer: UpgradeReport, style: Style): string {
  if (answer.state !== 'planned') return shortText(answer, style);
  return facts(style, [
    ['upgrade', `${answer.release.from} → ${answer.release.to}`],
    ['state', style.bold('started; the checks run first')],
    ['next', 'watch it with `bramble upgrade status`'],
  ]);
}

function shortText(answer: UpgradeReport, style: Style): string {
  const entries: [string, string][] = [
    ['upgrade', `${answer.release.from} → ${answer.release.to}`],
    ['state', style.bold(answer.position)],
  ];
  if (answer.pauseReason !== null) entries.push(['paused', answer.pauseReason]);
  if (!answer.coordinator.atWork && !finalStates.has(answer.state)) {
    entries.push(['coordinator', style.yellow('not running')]);
  }
  if (answer.expected !== undefined) entries.push(...expectedLines(answer.expected));
  entries.push(...overrideEntries(answer.checks ?? []));
  const { moved, reversed } = answer.accounts;
  if (isHomeward(answer) && moved > 0) entries.push(['moved back', `${reversed} of ${counted(moved, 'account')}`]);
  if (answer.emptied.length > 0) entries.push(['emptied', emptiedText(answer.emptied)]);
  const waits = shownWaits(answer);
  const waiting = waits.length === 0 ? [] : ['', style.bold('Waits'), ...waitLines(waits)];
  const head = [facts(style, entries), ...waiting].join('\n');
  if (answer.waves.length === 0 || isHomeward(answer)) return head;
  const waves = columns(style, answer.waves, {
    wave: (row) => String(row.number),
    name: (row) => row.name,
    state: (row) => row.state,
    'accounts settled': (row) => progressBar(style, row.settled, row.accounts, 20),
    ...(answer.waves.some(({ moves }) => moves.outOfReach > 0)
      ? { 'out of reach': (row: UpgradeReport['waves'][number]) => cell(row.moves.outOfReach || undefined) }
      : {}),
    gate: (row) => cell(gateWord(row.gate)),
  });
  return `${head}\n\n${waves}`;
}

/** On the way back, how far each wave had come says nothing any more. */
function isHomeward({ state, pausedFrom }: UpgradeReport): boolean {
  return ['reversing', 'reversed'].includes(pausedFrom ?? state);
}

/** Warnings that no longer count, and by whose decision. */
function overrideEntries(checks: NonNullable<UpgradeReport['checks']>): [string, string][] {
  const lines = checks.flatMap((check) => {
    const how = overrideText(check);
    return how === undefined ? [] : [`${check.name}: ${how}`];
  });
  return lines.map((line, index) => [index === 0 ? 'checks' : '', line]);
}
