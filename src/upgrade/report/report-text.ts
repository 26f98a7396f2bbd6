/** The upgrade's report in words, for a terminal: pure text, a line a fact. */
import type { Unchanged } from '../../api/operation.ts';
import type { UpgradePlan } from '../../api/upgrade-plan.ts';
import type { ExpectedTimes, UpgradeReport } from '../../api/upgrade-report.ts';
import { counted } from '../../base/counted.ts';
import { durationText, timesInText, timeText } from '../../base/time-text.ts';
import { supervisorText } from '../../registry/supervisors.ts';
import { notReturnedText } from '../components/absent-process-text.ts';
import { isReversible, type UpgradeState } from '../state/upgrade-states.ts';
import { expectedLines } from './expected-times-text.ts';
import { overrideText } from './override-text.ts';
import { waitLines } from './wait-text.ts';

type Report = Unchanged<UpgradeReport>;

/** The whole report. */
export function reportText(report: Report): string {
  const lines = [
    `Upgrade ${report.release.from} → ${report.release.to}: ${report.position}, ${durationText(report.seconds)}`,
    ...(report.pauseReason === null ? [] : [`  paused: ${report.pauseReason}`]),
    ...section('Waits', waitLines(shownWaits(report))),
    '',
    'Accounts',
    accountsLine(report),
    ...section('Emptied instances', report.emptied.length === 0 ? [] : [`  ${emptiedText(report.emptied)}`]),
    ...section('Checks', (report.checks ?? []).map(checkLine)),
    ...section(
      'Not returned',
      report.notBack.length === 0 ? [] : [`  ${notReturnedText(report.notBack, report.release)}`],
    ),
    ...section('Replaced in place', report.replacements.map(replacementLine)),
    ...section('Waves', report.waves.map(waveLine)),
    ...section('Deliveries', report.deliveries.map(deliveryLine)),
    ...section(
      'Supervisors',
      report.supervisors.map((one) => `  ${supervisorText(one)}${platformText(one)}`),
    ),
    ...section(
      'Held back by the budget',
      report.heldBack.filter((hold) => hold.heldSeconds > 0 || hold.waiting > 0).map(heldLine),
    ),
    ...section(
      'Features',
      report.features.map(
        (feature) => `  ${feature.name}: ${feature.active ? 'active' : `locked by ${feature.lockedBy.join(', ')}`}`,
      ),
    ),
    ...section(
      'Phases',
      report.phases.map((phase) => `  ${timeText(phase.at)} ${phase.state.padEnd(14)} ${durationText(phase.seconds)}`),
    ),
    ...section(
      'Log',
      report.events.map((event) => `  ${timeText(event.at)} ${event.message}`),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function checkLine(check: NonNullable<Report['checks']>[number]): string {
  const how = overrideText(check);
  return `  ${check.result.padEnd(10)} ${check.name}: ${timesInText(check.message)}${how === undefined ? '' : ` (${how})`}`;
}

function heldLine({ instance, heldSeconds, waiting, reason }: Report['heldBack'][number]): string {
  const now = waiting === 0 ? 'none waiting' : `now ${waiting} waiting (${reason})`;
  return `  ${instance}: ${durationText(heldSeconds)} in total, ${now}`;
}

function replacementLine({ name, host, wave, beganAt, atWorkAt }: Report['replacements'][number]): string {
  const began = beganAt === null ? 'not yet' : `since ${timeText(beganAt)}`;
  return (
    `  ${name} on ${host}, wave ${wave}: ` +
    `${atWorkAt === null ? began : `${began}, running since ${timeText(atWorkAt)}`}`
  );
}

function accountsLine({ accounts, release, plan }: Report): string {
  const left = `still at ${release.from}: ${accounts.atOldRelease}`;
  return plan.inPlace
    ? `  no account moves: each instance is replaced in place; ${left}`
    : `  moved ${accounts.moved}, moved back ${accounts.reversed}, failed ${accounts.failed}, ${left}`;
}

/** What to do with instances that no longer serve any account. */
export function emptiedText(names: readonly string[]): string {
  const serve = names.length === 1 ? 'no longer serves' : 'no longer serve';
  return `${names.join(', ')}: ${serve} any account; retire with \`bramble instance retire ${names.join(' ')}\``;
}

type WaitsOfReport = Pick<Report, 'waitingFor' | 'pauseReason' | 'pausedFrom'> & { readonly waits?: Report['waits'] };

/** What it waits for, without the reason of a pause, which stands above. */
export function shownWaits({ waits, waitingFor, pauseReason, pausedFrom }: WaitsOfReport) {
  if (waits !== undefined) {
    const isPause = (what: string) => what === 'operator' && pauseReason !== null;
    const why = isReversible(pausedFrom as UpgradeState) ? 'to resume or reverse it' : 'to resume it';
    return waits.map((wait) => (isPause(wait.what) ? { ...wait, why } : wait));
  }
  // An administration of 1.1 sends no list, only the message of the last step.
  return waitingFor === null
    ? []
    : [{ what: 'step', why: waitingFor, who: [], since: null, until: null, command: null }];
}

/** The plan before it is started. */
export function planText(plan: UpgradePlan, expected?: ExpectedTimes): string {
  const times =
    expected === undefined
      ? []
      : section(
          'Time',
          expectedLines(expected).map(([what, time]) => `  ${what}: ${time}`),
        );
  return plan.inPlace ? inPlaceText(plan, times) : wavesText(plan, times);
}

function inPlaceText({ replacements, waves, notes }: UpgradePlan, times: readonly string[]): string {
  const lines = [
    'Replaced in place, one process after the other',
    ...replacements.map(({ name, host, processes, wave }) => {
      const [, ...services] = processes;
      return `  ${name} on ${host}, in wave ${wave}${services.length === 0 ? '' : `, with ${services.join(', ')}`}`;
    }),
    ...section('Waves', waves.map(plannedWaveLine)),
    ...section('Needs', [
      '  memory for one more process at a time on each host; no additional instance, host or SRP credential',
    ]),
    ...section('Sends', ['  nothing to devices']),
    ...times,
    ...section(
      'Notes',
      notes.map((note) => `  ${note}`),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function plannedWaveLine({ number, name, accounts, leastRequests }: UpgradePlan['waves'][number]): string {
  const gate =
    accounts === 0 ? 'watched for processes that exit unexpectedly' : `gate on ${counted(leastRequests, 'request')}`;
  return `  ${number}. ${name}: ${counted(accounts, 'account')}, ${gate}`;
}

function wavesText(plan: UpgradePlan, times: readonly string[]): string {
  const { needs, sends } = plan;
  const lines = [
    'New instances',
    ...(plan.instances.length === 0 ? ['  none'] : []),
    ...plan.instances.map(
      (instance) =>
        `  ${instance.name} for ${instance.replaces} on ${instance.host}${instance.origin === 'reused' ? ', once it is empty' : ''}` +
        (instance.connectionServices.length === 0
          ? ''
          : `, with ${instance.connectionServices.map((service) => service.name).join(', ')}`) +
        loadText(instance, plan.options),
    ),
    '',
    'Waves',
    ...plan.waves.map(plannedWaveLine),
    '',
    'Needs',
    `  ${counted(needs.processes, 'more process', 'more processes')}, about ${needs.memoryMb} MB, ` +
      `${counted(needs.srpCredentials, 'SRP credential')}, ${counted(needs.listeningPorts, 'listening port')}, ` +
      `additional computers: ${needs.computers.join(', ') || 'none'}`,
    '',
    'Sends',
    `  ${counted(sends.itPolicies, 'IT policy')}, ` +
      `${counted(sends.serviceBooks, 'set of service books', 'sets of service books')}, ` +
      `${counted(sends.synchronizations, 'synchronization')}; with this budget at least ${durationText(sends.leastMinutes * 60)}`,
    ...times,
    ...section(
      'Locked until finalized',
      plan.lockedFeatures.map((feature) => `  ${feature.name}`),
    ),
    ...section(
      'Would be lost',
      plan.losses.length === 0 ? ['  nothing'] : plan.losses.map((loss) => `  ${loss.what}: ${loss.why}`),
    ),
    ...section(
      'Notes',
      plan.notes.map((note) => `  ${timesInText(note)}`),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

/** `: 12 of at most 50 accounts, 20 devices`; a plan of 1.3 has no counts. */
function loadText(
  { accounts, devices }: UpgradePlan['instances'][number],
  { maxAccounts, maxDevices }: UpgradePlan['options'],
): string {
  if (accounts === undefined || devices === undefined) return '';
  const of = (count: number, most: number | undefined, one: string) =>
    most === undefined ? counted(count, one) : `${count} of at most ${counted(most, one)}`;
  return `: ${of(accounts, maxAccounts, 'account')}, ${of(devices, maxDevices, 'device')}`;
}

/** What a supervisor runs on. */
function platformText({ nodeVersion, postgresServer }: Report['supervisors'][number]): string {
  return nodeVersion === null ? '' : `: Node.js ${nodeVersion.replace('v', '')}, PostgreSQL ${postgresServer}`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines];
}

function waveLine(wave: Report['waves'][number]): string {
  const { moves } = wave;
  const gate = gateText(wave.gate);
  const until = wave.soaksUntil === null ? '' : ` until ${timeText(wave.soaksUntil)}`;
  const reach = moves.outOfReach === 0 ? '' : `, ${moves.outOfReach} out of reach`;
  return (
    `  ${wave.number}. ${wave.name}: ${wave.state}${until}, ${moves.settled} of ${counted(moves.accounts, 'account')} settled${reach}` +
    (gate === undefined ? '' : `; gate: ${gate}`)
  );
}

/** The answer of a wave's gate, and who overrode it; undefined while there is none. */
function gateText(gate: Report['waves'][number]['gate']): string | undefined {
  const { answer, reasons = [], acceptedBy: by } = gate ?? {};
  const why = reasons.length === 0 ? '' : `: ${reasons.join('; ')}`;
  const judged = answer === undefined ? undefined : `${answer}${why}`;
  if (by === undefined) return judged;
  return `accepted by ${by}${judged === undefined ? '' : ` (verdict: ${judged})`}`;
}

/** The same without reasons. */
export function gateWord(gate: Report['waves'][number]['gate']): string | undefined {
  return gate?.acceptedBy === undefined ? gate?.answer : `accepted by ${gate.acceptedBy}`;
}

function deliveryLine(count: Report['deliveries'][number]): string {
  const suspects = count.suspects === 0 ? '' : `, ${counted(count.suspects, 'suspect')}`;
  return `  ${count.item} (${count.direction}): ${count.done} done, ${count.failed} failed, ${count.open} open${suspects}`;
}
