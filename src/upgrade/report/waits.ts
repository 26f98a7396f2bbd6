/**
 * Everything that an open upgrade waits for, in one list: what, why, since when and until when, who blocks it, and what
 * an operator can type. Pure: the facts are read in `wait-facts.ts`.
 *
 * Invariant: an upgrade that does not go on has at least one wait, and each names its reason; none is made up for one that is over.
 */
import { counted } from '../../base/counted.ts';
import { supervisorCaution, supervisorCommand, supervisorText } from '../../registry/supervisors.ts';
import { occupiedText } from '../components/instances-behind.ts';
import { supervisorsText } from '../components/supervisors-behind.ts';
import { scheduleAt } from '../state/schedule-windows.ts';
import { isFinal } from '../state/upgrade-states.ts';
import { operatorWait } from './operator-waits.ts';
import { type AccountBehind, later, maxNamesShown, type Wait, type WaitFacts, wait } from './wait.ts';
import { waveWaits } from './wave-waits.ts';

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
