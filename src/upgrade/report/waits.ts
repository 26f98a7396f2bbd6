/**
 * Everything that an open upgrade waits for, in one list: what, why, since when and until when, who blocks it, and what
 * an operator can type. Pure: the facts are read in `wait-facts.ts`.
 *
 * Invariant: an upgrade that does not go on has at least one wait, and each names its reason; none is made up for one that is over.
 */
import { counted } from '../../base/counted.ts';
import { durationText } from '../../base/time-text.ts';
import type { SilentDevices, WaitingHold } from '../../deliveries/delivery-waits.ts';
import {
  type HostSupervisor,
  supervisorCaution,
  supervisorCommand,
  supervisorText,
} from '../../registry/supervisors.ts';
import { occupiedText, type PlacedInstance } from '../components/instances-behind.ts';
import { supervisorsText } from '../components/supervisors-behind.ts';
import { endWithin, scheduleAt } from '../state/schedule-windows.ts';
import { isFinal, isReversible, type UpgradeState } from '../state/upgrade-states.ts';
import type { PauseCause } from '../state/upgrade-store.ts';
import type { WaveState } from '../state/wave-states.ts';
import { holdsUp, type OutOfReachRule, outOfReachFollows, outOfReachText } from '../waves/out-of-reach-rule.ts';

export type WaitKind =
  | 'operator'
  | 'coordinator'
  | 'step'
  | 'supervisor'
  | 'old-supervisor'
  | 'process'
  | 'session'
  | 'wave'
  | 'soak'
  | 'gate'
  | 'window'
  | 'budget'
  | 'silent-devices'
  | 'out-of-reach'
  | 'accounts';

export interface Wait {
  readonly what: WaitKind;
  readonly why: string;
  readonly since: Date | null;
  /** Processes, sessions, accounts or devices, by name; the first twenty. */
  readonly who: readonly string[];
  /** When it ends by itself at the latest, where that is known; for a soak at the earliest, as an undecided gate prolongs it. */
  readonly until: Date | null;
  /** What ends it, or shows more. */
  readonly command: string | null;
}

/** A database session that may stand in the way of the fence or of a migration. */
export interface BlockingSession {
  readonly pid: number;
  readonly applicationName: string;
  /** Where it comes from; null where this role may not see it, or on a local socket. */
  readonly address: string | null;
  readonly since: Date | null;
  /** Tables that it holds; none for the administration lock. */
  readonly tables: readonly string[];
}

export interface WaitFacts {
  readonly now: Date;
  readonly state: UpgradeState;
  readonly toRelease: string;
  readonly started: boolean;
  /** Checks that stopped a start: warnings can be overridden, errors cannot. */
  readonly stoppedBy: readonly { readonly name: string; readonly result: string }[];
  readonly pauseReason: string | null;
  readonly pausedFrom: UpgradeState | null;
  readonly pauseCause: PauseCause;
  /** The message of the coordinator's last step. */
  readonly step: string | null;
  /** That step waits for nothing but an operator who finalizes or reverses. */
  readonly waitsForDecision: boolean;
  /** Since when. */
  readonly decisionSince: Date | null;
  /** Features that finalizing unlocks. */
  readonly lockedFeatures: readonly string[];
  readonly coordinator: { readonly atWork: boolean; readonly holder: string | null };
  readonly updatedAt: Date;
  readonly soakSeconds: number;
  readonly waveDeadlineSeconds: number;
  readonly windows: readonly string[];
  readonly outOfReachRule: OutOfReachRule;
  readonly waves: readonly WaveFacts[];
  /** Instances are replaced, and nobody moves: the step says which one is waited for. */
  readonly inPlace: boolean;
  /** Once the waves have passed: who is at an instance of an earlier release all the same. */
  readonly behind: {
    readonly instances: readonly PlacedInstance[];
    /** The first of them. */
    readonly accounts: readonly AccountBehind[];
  };
  /** Desired processes that are not running as desired, by host. */
  readonly missing: readonly { readonly name: string; readonly host: string; readonly release: string }[];
  /** Hosts with desired processes and no supervisor session in the database. */
  readonly hostsWithoutSupervisor: readonly string[];
  /** Supervisors that finalizing waits for once nothing else of an earlier release is left. */
  readonly supervisorsBehind: readonly Pick<HostSupervisor, 'host' | 'release' | 'atWork'>[];
  readonly sessions: readonly BlockingSession[];
  readonly holds: readonly WaitingHold[];
  readonly silent: SilentDevices;
}

export interface AccountBehind {
  readonly account: string;
  readonly instance: string;
  /** Its open move: to be done, or done with its devices still to answer. */
  readonly move: 'none' | 'queued' | 'delivering';
  readonly batch: string | null;
}

export interface WaveFacts {
  readonly number: number;
  readonly name: string;
  readonly state: WaveState;
  readonly startedAt: Date | null;
  /** Since when its deadlines are counted: since its start, or since the upgrade was resumed. */
  readonly runningSince: Date | null;
  readonly soakingAt: Date | null;
  readonly accounts: number;
  readonly settled: number;
  readonly outOfReach: number;
  /** Accounts whose moves or deliveries are open. */
  readonly open: readonly string[];
  /** What the gate lacks, as it said some seconds ago in the present window. */
  readonly gateLacks: readonly string[];
  /** Its accounts, if none of them has a device. */
  readonly withoutDevices: readonly string[];
  /** Whether an operator answers for it: nobody judges or observes it any more. */
  readonly accepted: boolean;
}

const maxNamesShown = 20;

export function waitsOf(facts: WaitFacts): Wait[] {
  if (isFinal(facts.state)) return [];
  const operator = operatorWait(facts);
  const specific = [
    ...behindWaits(facts),
    ...processWaits(facts),
    ...sessionWaits(facts),
    ...windowWaits(facts),
    ...waveWaits(facts),
    ...sendingWaits(facts),
  ];
  const waits = [...operator, ...specific];
  // The step's message is better than nothing, but specific waits take precedence.
  const saysMore = facts.state === 'soaking' ? !facts.waitsForDecision : operator.length === 0;
  // A state began when the upgrade changed last, but a step of a wave begins later.
  const since = facts.state === 'moving' ? null : facts.updatedAt;
  const isRepeated = facts.step === supervisorsText(facts.supervisorsBehind, facts.toRelease);
  if (facts.step !== null && saysMore && !isRepeated) waits.push(wait('step', facts.step, { since }));
  if (waits.length === 0) waits.push(wait('step', 'the coordinator’s next step', { since }));
  return waits;
}

function wait(what: WaitKind, why: string, more: Partial<Wait> = {}): Wait {
  return { what, why, since: null, until: null, command: null, ...more, who: (more.who ?? []).slice(0, maxNamesShown) };
}

function operatorWait(facts: WaitFacts): Wait[] {
  const { state, started, stoppedBy, pauseReason, updatedAt: since } = facts;
  if (state === 'paused') {
    const why = `paused: ${pauseReason ?? 'no reason given'}`;
    return [wait('operator', why, { since, command: waysOn(facts) })];
  }
  if (state === 'planned' && !started) {
    const stopped = stoppedBy.length > 0;
    const why = stopped ? `checks stopped the start: ${remedyText(stoppedBy)}` : 'planned, not started';
    const names = stoppedBy.map(({ name }) => name);
    const overridable = stopped && stoppedBy.every(isWarning);
    const command = `bramble upgrade start${overridable ? ` --override ${names.join(' ')}` : ''}`;
    return [
      wait('operator', why, { since, who: names, command: stopped ? `bramble upgrade report; ${command}` : command }),
    ];
  }
  if (state === 'soaking' && facts.behind.instances.length === 0) {
    const command = 'bramble upgrade finalize, or bramble upgrade reverse';
    return [wait('operator', decisionText(facts), { since: facts.decisionSince ?? since, command })];
  }
  return [];
}

const isWarning = ({ result }: WaitFacts['stoppedBy'][number]): boolean => result === 'warning';

/** Errors cannot be overridden. */
function remedyText(stoppedBy: WaitFacts['stoppedBy']): string {
  const [warnings, errors] = [stoppedBy.filter(isWarning), stoppedBy.filter((check) => !isWarning(check))].map(
    (checks) => checks.map(({ name }) => name).join(', '),
  );
  if (!errors) return 'fix or override what they found';
  return warnings ? `fix ${errors}; ${warnings} can be overridden` : 'fix what they found';
}

/** For how long the decision is owed, and what nobody can have before it. */
function decisionText({ now, decisionSince, lockedFeatures }: WaitFacts): string {
  const passed =
    decisionSince === null
      ? 'all waves have passed'
      : `all waves passed ${durationText(Math.max(0, now.getTime() - decisionSince.getTime()) / 1000)} ago`;
  const locked = lockedFeatures.length === 0 ? '' : `, and features stay locked: ${lockedFeatures.join(', ')}`;
  return `${passed}; an operator must finalize or reverse the upgrade. Until then no other upgrade can be planned${locked}`;
}

/** The ways out of a pause, without those that would be refused. */
function waysOn({ pausedFrom, pauseCause }: Pick<WaitFacts, 'pausedFrom' | 'pauseCause'>): string {
  if (pausedFrom !== null && !isReversible(pausedFrom)) return 'bramble upgrade resume';
  if (pauseCause === 'failed-moves') {
    return 'bramble upgrade report; bramble upgrade retry to have only these moved again, or bramble upgrade reverse';
  }
  if (pauseCause !== 'gate') return 'bramble upgrade resume, or bramble upgrade reverse';
  return (
    'bramble upgrade report, and the logs of the new instances (BRAMBLE_HOME/logs); then bramble upgrade resume to ' +
    'have it judged again, bramble upgrade resume --accept-gate to take responsibility yourself, or bramble ' +
    'upgrade reverse'
  );
}

/** Finalizing is refused, or goes no further, until they have moved. */
function behindWaits({ behind }: WaitFacts): Wait[] {
  if (behind.instances.length === 0) return [];
  const count = behind.instances.reduce((sum, { accounts }) => sum + accounts, 0);
  const why =
    `${counted(count, 'account is', 'accounts are')} still at instances of an earlier release: ` +
    `${occupiedText(behind.instances)}; finalizing waits until they have moved. No action is needed for ` +
    'accounts whose devices do not connect: once out of reach, they move anyway';
  const delivering = behind.accounts.find(({ move }) => move === 'delivering');
  const queued = behind.accounts.find(({ move }) => move === 'queued');
  const command =
    (delivering && `bramble deliveries; or at once: bramble move back ${delivering.batch}`) ??
    (queued && `bramble move status ${queued.batch}`) ??
    'bramble status';
  const who = behind.accounts.map(({ account, instance, move }) => `${account} (at ${instance}: ${moveTexts[move]})`);
  return [wait('accounts', why, { who, command })];
}

const moveTexts = {
  none: 'no move is queued yet',
  queued: 'its move is queued',
  delivering: 'it was moved there, but its devices have not answered',
} as const satisfies Record<AccountBehind['move'], string>;

function processWaits(facts: WaitFacts): Wait[] {
  const waits: Wait[] = [];
  const idle = facts.state === 'planned' && !facts.started;
  if (!facts.coordinator.atWork && !idle) {
    const last = facts.coordinator.holder;
    waits.push(
      wait('coordinator', `no coordinator of ${facts.toRelease} is running, so no step is carried out`, {
        who: last === null ? [] : [last],
        command: 'bramble status; and on the coordinator’s host: bramble up',
      }),
    );
  }
  for (const host of facts.hostsWithoutSupervisor) {
    const who = facts.missing.filter((process) => process.host === host).map(({ name }) => name);
    const left = who.length === 0 ? '' : '; processes wanted there do not start';
    waits.push(
      wait('supervisor', `the supervisor of ${host} has no session in the database${left}`, {
        who: [host, ...who],
        command: `on ${host}: bramble up`,
      }),
    );
  }
  if (facts.state === 'finalizing' && facts.supervisorsBehind.length > 0) {
    const command =
      `on each host: \`${supervisorCommand(facts.toRelease)}\`; or without them: ` +
      `bramble upgrade finalize --leave-supervisor ${facts.supervisorsBehind.map(({ host }) => host).join(' ')}`;
    waits.push(
      wait(
        'old-supervisor',
        'supervisors are of an earlier release: start one of the new release, which takes over without devices ' +
          `noticing. ${supervisorCaution}`,
        {
          who: facts.supervisorsBehind.map(supervisorText),
          command,
        },
      ),
    );
  }
  const others = facts.missing.filter(({ host }) => !facts.hostsWithoutSupervisor.includes(host));
  if (others.length > 0) {
    waits.push(
      wait('process', notRunningText(others), {
        who: others.map(({ name, release, host }) => `${name} (${release}, ${host})`),
        command: `bramble status; their logs: BRAMBLE_HOME/logs`,
      }),
    );
  }
  return waits;
}

/** `not yet running 1.3.0: router-1` */
function notRunningText(missing: WaitFacts['missing']): string {
  const byRelease = Map.groupBy(missing.slice(0, maxNamesShown), ({ release }) => release);
  return [...byRelease]
    .map(([release, processes]) => `not yet running ${release}: ${processes.map(({ name }) => name).join(', ')}`)
    .join('; ');
}

/** Only where a step takes locks that others may hold. */
function sessionWaits({ state, sessions }: WaitFacts): Wait[] {
  return sessions.map((session) => {
    const holds =
      session.tables.length > 0
        ? `holds ${session.tables.join(', ')}`
        : 'is in a transaction of an administration service';
    const from = session.address === null ? '' : `, from ${session.address}`;
    const next = state === 'checked' ? 'the release fence' : 'the migration';
    return wait('session', `${next} is waiting for a session that ${holds}`, {
      since: session.since,
      who: [`${session.applicationName || 'an unnamed session'} (database process ${session.pid}${from})`],
      command: `in the database: select pg_terminate_backend(${session.pid})`,
    });
  });
}

function windowWaits({ windows, now, state }: WaitFacts): Wait[] {
  const schedule = scheduleAt(windows, now);
  if (schedule.kind !== 'closed' || (state !== 'moving' && state !== 'soaking')) return [];
  const { window, opensAt: until } = schedule.next;
  const why = `nothing new starts outside of the windows, what has started goes on; the next one is ${window}`;
  const command = 'bramble upgrade set --window …, or --any-time';
  return [wait('window', why, { until, command })];
}

function waveWaits(facts: WaitFacts): Wait[] {
  const wave = facts.waves.find(({ state }) => state !== 'passed');
  if (facts.state !== 'moving' || wave === undefined) return [];
  const named = `wave ${wave.number} (${wave.name})`;
  const waits: Wait[] = [];
  if (wave.outOfReach > 0) waits.push(outOfReachWait(facts, wave));
  if (wave.state === 'soaking') {
    const until = later(wave.soakingAt, facts.soakSeconds);
    const isOver = until !== null && until <= facts.now;
    if (!isOver && !wave.accepted)
      waits.push(
        wait('soak', `${named} is being observed${leftText(facts.now, until)}`, { since: wave.soakingAt, until }),
      );
    if (wave.gateLacks.length > 0) {
      const why = `${named} is undecided: ${lacksText(wave)}`;
      const command =
        'bramble upgrade resume --accept-gate to take responsibility yourself, or bramble upgrade reverse';
      waits.push(wait('gate', why, { since: wave.soakingAt, who: wave.withoutDevices, command }));
    }
  } else if (!facts.inPlace && wave.startedAt !== null && wave.settled + wave.outOfReach < wave.accounts) {
    const until = deadlineOf(wave, facts, facts.waveDeadlineSeconds);
    const why = `${wave.settled} of ${counted(wave.accounts, 'account')} of ${named} settled; the upgrade pauses at the deadline`;
    waits.push(wait('wave', why, { since: wave.startedAt, until, who: wave.open, command: 'bramble deliveries' }));
  }
  return waits;
}

/** A number of requests that is needed says nothing where there is nobody to send one. */
function lacksText({ withoutDevices, gateLacks }: WaveFacts): string {
  return withoutDevices.length === 0
    ? gateLacks.join('; ')
    : 'its gate has nothing to judge by, since none of its accounts has a device';
}

function outOfReachWait(facts: WaitFacts, wave: WaveFacts): Wait {
  const { now, outOfReachRule: rule } = facts;
  const text = outOfReachText(wave.outOfReach, wave);
  if (wave.state === 'soaking')
    return wait('out-of-reach', `${text}: ${outOfReachFollows({ ...rule, outOfReach: 'leave' }, null)}`, {
      command: 'bramble deliveries',
    });
  const deadline = rule.outOfReach === 'wait' ? null : deadlineOf(wave, facts, rule.outOfReachSeconds);
  const until = deadline !== null && deadline > now ? deadline : null;
  const command = `bramble deliveries${holdsUp(rule) ? '; bramble upgrade set --out-of-reach leave' : ''}`;
  return wait('out-of-reach', `${text}: ${outOfReachFollows(rule, until)}`, { until, command });
}

function sendingWaits({ holds, silent }: WaitFacts): Wait[] {
  const waits = holds.map(({ instance, reason, message, waiting, since }) => {
    // An instance of 1.1 does not tell silent devices in slots from busy ones.
    const bySilence = reason === 'suspects' || (silent.inSlots > 0 && reason.startsWith('slots-'));
    const command = bySilence ? 'bramble device requeue --silent' : 'bramble budget show; bramble budget set';
    return wait('budget', `${counted(waiting, 'delivery')} of ${instance}: ${message}`, {
      since,
      who: [instance],
      command,
    });
  });
  if (silent.count === 0) return waits;
  const because = silent.capReached
    ? 'the limit of suspects is reached'
    : 'their instances have not marked them as suspects';
  const held =
    silent.inSlots > 0
      ? `and ${silent.inSlots} of them hold slots because ${because}; each is taken back after its time limit`
      : 'and are suspects: they hold no slots and recover by answering';
  const until = silent.inSlots > 0 ? later(silent.since, silent.patienceSeconds) : null;
  const why = `${counted(silent.count, 'device')} received a delivery and fell silent, ${held}`;
  const command = 'bramble device requeue --silent';
  return [...waits, wait('silent-devices', why, { since: silent.since, until, who: silent.devices, command })];
}

/** It does not run while no window is open. */
function deadlineOf({ runningSince }: WaveFacts, { windows }: WaitFacts, seconds: number): Date | null {
  return (runningSince && endWithin(windows, runningSince, seconds)) ?? null;
}

/** `: 6 min left` */
function leftText(now: Date, until: Date | null): string {
  if (until === null) return '';
  return `: ${durationText(Math.max(0, until.getTime() - now.getTime()) / 1000)} left`;
}

function later(at: Date | null, seconds: number): Date | null {
  return at === null ? null : new Date(at.getTime() + seconds * 1000);
}
