/**
 * The plan of an upgrade, as a pure function of actual counts: what is added, which waves there are, what will be sent
 * and the minimum time for that, what stays locked. Nothing is carried out here; the same facts give the same plan.
 */

import { type Budget, budgetSchema } from '../../api/budget.ts';
import type { PlanOptions } from '../../api/upgrade-options.ts';
import type { PlannedInstance, UpgradePlan } from '../../api/upgrade-plan.ts';
import { accountNameOf } from '../../base/account-name.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { supervisorCaution, supervisorCommand } from '../../registry/supervisors.ts';
import { assertPatch, type ReleaseStep, releaseStep } from '../fence/release-step.ts';
import { requestsToPass } from '../gates/gate.ts';
import { chosenGate } from '../state/plan-options.ts';
import { assertWindows, endWithin } from '../state/schedule-windows.ts';
import { minuteText } from '../state/upgrade-store.ts';
import { accountDestinations } from './account-destinations.ts';
import { chosenCanaries } from './canaries.ts';
import { drainedText } from './drained-hosts.ts';
import { planReplacements, replacementNotes } from './in-place-plan.ts';
import { assertLimits } from './instance-limits.ts';
import type { InstanceFacts, PlanFacts } from './plan-facts.ts';
import { assertInstanceOptions, planInstances } from './planned-instances.ts';
import { placedForReuse, planReuse, planReused, reuseNotes, reuseWaves, settledForReuse } from './reuse-plan.ts';
import { assignWaves, type PlacedAccount } from './wave-assignment.ts';

/** Resident memory of one process: measured, rounded up. */
const memoryMb = { server: 160, connection: 100 } as const;

/**
 * @throws BrambleError ERR_ACCOUNT_NAME, ERR_RELEASE_STEP, ERR_RELEASE_NOT_PATCH, ERR_UPGRADE_IN_PLACE, ERR_UPGRADE_CANARY, ERR_UPGRADE_WINDOW, ERR_UPGRADE_LIMIT,
 * ERR_UPGRADE_INSTANCE.
 */
export function planUpgrade(facts: PlanFacts, given: PlanOptions): UpgradePlan {
  const options = { ...given, canaries: given.canaries.map(accountNameOf) };
  const step = releaseStep(facts.fromRelease, facts.target.release);
  if (step === 'patch') assertPatch(facts.fromRelease, facts.target.release, facts.target.differences);
  assertInstanceOptions(facts, options);
  assertWindows(options.windows);
  const canaries = chosenCanaries(facts.accounts, options, facts.foundCanaries);
  return goesInPlace(step, facts, options)
    ? planInPlace(
        facts,
        { ...options, reuseInstances: false, oldInstances: options.oldInstances ?? 'upgrade' },
        canaries,
      )
    : planWaves(step, facts, options, canaries);
}

/** @throws BrambleError ERR_UPGRADE_IN_PLACE if that is requested but impossible. */
function goesInPlace(step: ReleaseStep, facts: PlanFacts, options: PlanOptions): boolean {
  const { inPlace, instances, reuseInstances = false } = options;
  if (inPlace === true && step === 'minor') {
    throw new BrambleError(
      'ERR_UPGRADE_IN_PLACE',
      `${facts.target.release} is not a patch of ${facts.fromRelease}, and only a patch replaces instances in ` +
        'place: omit the option, and new instances take over the accounts in waves.',
    );
  }
  if (inPlace === true && Object.keys(instances).length > 0) {
    throw new BrambleError(
      'ERR_UPGRADE_IN_PLACE',
      'Replacing in place adds no instances, so names and hosts cannot be chosen: omit either `instances` or ' +
        '--in-place (`inPlace` in REST).',
    );
  }
  if (inPlace === true && reuseInstances) {
    throw new BrambleError(
      'ERR_UPGRADE_IN_PLACE',
      'Replacing in place moves no accounts, so no instance is emptied and reused: omit either --reuse-instances ' +
        '(`reuseInstances` in REST) or --in-place.',
    );
  }
  // Naming new instances requests them.
  return step === 'patch' && (inPlace ?? (Object.keys(instances).length === 0 && !reuseInstances));
}

function planInPlace(facts: PlanFacts, options: PlanOptions, canaries: string[]): UpgradePlan {
  const replacements = planReplacements(facts, { ...options, canaries });
  const accountsAt = (names: readonly string[]) => facts.accounts.filter(({ instance }) => names.includes(instance));
  const waves = [...new Set(replacements.map(({ wave }) => wave))].map((number) => {
    const names = replacements.filter(({ wave }) => wave === number).map(({ name }) => name);
    const accounts = accountsAt(names).length;
    const leastRequests = accounts === 0 ? 0 : requestsToPass(options.gate);
    return { number, name: names.join(', '), accounts, leastRequests };
  });
  return {
    ...{ options, patch: true, inPlace: true, replacements, instances: [], waves },
    needs: { computers: [], processes: 0, listeningPorts: 0, memoryMb: memoryMb.server, srpCredentials: 0 },
    sends: { itPolicies: 0, serviceBooks: 0, synchronizations: 0, leastMinutes: 0 },
    ...{ lockedFeatures: [], losses: [] },
    notes: [
      ...accountNotes(options, waves),
      ...windowNotes(facts, options, 0),
      ...replacementNotes(facts, replacements),
      ...releaseNotes(facts, 'patch'),
    ],
  };
}

function planWaves(step: ReleaseStep, facts: PlanFacts, given: PlanOptions, canaries: string[]): UpgradePlan {
  const { replaced, empty } = splitInstances(facts, given);
  const reuse = planReuse(replaced, facts.accounts, given);
  const options = settledForReuse(given, reuse);
  const all = [...planInstances({ ...facts, instances: placedForReuse(reuse) }, options), ...planReused(reuse)];
  const names = reuse.order.map(({ name }) => name);
  const divided = options.reuseInstances
    ? reuseWaves(facts.accounts, names, { ...options, canaries })
    : assignWaves(facts.accounts, { ...options, canaries });
  const instances = withLoads(all, facts.accounts, accountDestinations(divided, facts.accounts, all));
  assertLimits(instances, options);
  const waves = divided.map((wave) => ({
    number: wave.number,
    name: wave.name,
    accounts: wave.accounts.length,
    leastRequests: requestsToPass(options.gate),
  }));
  const made = instances.filter((planned) => planned.origin !== 'reused');
  const drained = drainedText(instances, facts.drainingHosts);
  const services = made.reduce((sum, instance) => sum + instance.connectionServices.length, 0);
  const processes = made.length + services;
  const budget = budgetSchema.parse({ ...facts.budget, ...options.budget });
  const leastMinutes = minutesToSend(facts, budget, takersAtATime(options, facts.accounts, instances));
  return {
    ...{ options, patch: step === 'patch', inPlace: false, replacements: [], instances, waves },
    needs: {
      computers: [...new Set(instances.map((instance) => instance.host))].filter((host) => !facts.hosts.includes(host)),
      processes,
      // Instances and connection services dial out; they listen only on loopback, on a port that the system chooses.
      listeningPorts: 0,
      memoryMb: made.length * memoryMb.server + services * memoryMb.connection,
      srpCredentials: processes,
    },
    sends: { ...facts.deliveries, leastMinutes },
    lockedFeatures: facts.target.features
      .filter((feature) => !facts.knownFeatures.includes(feature))
      .map((name) => ({ name, until: 'the upgrade is finalized and every registered component has it' })),
    losses: [...facts.losses],
    notes: [
      ...(drained === undefined ? [] : [drained]),
      ...notesOf(facts, options, waves, empty),
      ...deviceNotes(divided, facts.accounts),
      ...reuseNotes(reuse, options, { from: facts.fromRelease, to: facts.target.release, added: made.length }),
      ...windowNotes(facts, options, leastMinutes),
      ...releaseNotes(facts, step),
    ],
  };
}

/** An instance without accounts needs no replacement, and gets one only if an operator named it. */
function splitInstances(
  facts: Pick<PlanFacts, 'accounts' | 'instances'>,
  options: Pick<PlanOptions, 'instances'>,
): { replaced: InstanceFacts[]; empty: string[] } {
  const occupied = new Set(facts.accounts.map(({ instance }) => instance));
  const isReplaced = ({ name }: InstanceFacts) => occupied.has(name) || Object.hasOwn(options.instances, name);
  return {
    replaced: facts.instances.filter(isReplaced),
    empty: facts.instances.filter((instance) => !isReplaced(instance)).map(({ name }) => name),
  };
}

/** Each with the accounts and devices that go to it. */
function withLoads(
  planned: readonly PlannedInstance[],
  accounts: readonly PlacedAccount[],
  destinations: ReadonlyMap<string, PlannedInstance>,
): (PlannedInstance & { accounts: number; devices: number })[] {
  const going = Map.groupBy(accounts, ({ name }) => destinations.get(name));
  return planned.map((instance) => {
    const own = going.get(instance) ?? [];
    const devices = own.reduce((sum, account) => sum + (account.devices ?? 0), 0);
    return { ...instance, accounts: own.length, devices };
  });
}

/** How many instances take accounts together, and which part of all accounts: where some are reused, one old instance after the other. */
function takersAtATime(
  { reuseInstances }: PlanOptions,
  accounts: readonly PlacedAccount[],
  instances: readonly PlannedInstance[],
): { takers: number; part: number }[] {
  if (reuseInstances !== true) return [{ takers: instances.length, part: 1 }];
  const at = Map.groupBy(accounts, ({ instance }) => instance);
  return [...Map.groupBy(instances, ({ replaces }) => replaces)].map(([replaces, takers]) => ({
    takers: takers.length,
    part: (at.get(replaces)?.length ?? 0) / Math.max(1, accounts.length),
  }));
}

function minutesToSend(facts: PlanFacts, budget: Budget, phases: ReturnType<typeof takersAtATime>): number {
  const { itPolicies, serviceBooks, synchronizations } = facts.deliveries;
  const minutes = phases.reduce((sum, { takers, part }) => {
    const perMinute = Math.min(budget.perMinuteDomain, budget.perMinuteInstance * Math.max(1, takers));
    return sum + ((itPolicies + serviceBooks + synchronizations) * part) / perMinute;
  }, 0);
  return Math.ceil(Number((minutes * 10).toFixed(6))) / 10;
}

function accountNotes(options: PlanOptions, waves: readonly { name: string; accounts: number }[]): string[] {
  const notes = waves
    .filter((wave) => wave.accounts === 1)
    .map((wave) => `The wave “${wave.name}” has one account: its gate is based on that account alone.`);
  const { leastRequests } = chosenGate(options.gate);
  if (leastRequests !== undefined) {
    notes.push(
      `Gates are satisfied with ${counted(leastRequests, 'request')}, as configured: a fault that affects few ` +
        'requests may be missed.',
    );
  }
  return notes;
}

/** A gate judges by requests of devices. */
function deviceNotes(
  waves: readonly { name: string; accounts: readonly string[] }[],
  accounts: readonly PlacedAccount[],
): string[] {
  const without = new Set(accounts.filter(({ devices }) => devices === 0).map(({ name }) => name));
  return waves
    .filter((wave) => wave.accounts.length > 0 && wave.accounts.every((name) => without.has(name)))
    .map((wave) => {
      const who = wave.accounts.length === 1 ? `${wave.accounts[0]} has` : 'its accounts have';
      return (
        `The gate of the wave “${wave.name}” has nothing to judge by: ${who} no device. Unless one is activated, the upgrade pauses ` +
        'there at the deadline; --canary chooses who goes first.'
      );
    });
}

/** @param leastMinutes that moving takes, without soaks */
function windowNotes({ now }: PlanFacts, { windows }: PlanOptions, leastMinutes: number): string[] {
  if (windows.length === 0) return [];
  const end = leastMinutes === 0 ? undefined : endWithin(windows, now, leastMinutes * 60);
  return [
    `Nothing that devices notice starts outside of these windows: ${windows.join('; ')}.`,
    ...(end === undefined ? [] : [`If it starts now, sending ends on ${minuteText(end)} at the earliest.`]),
  ];
}

/** About the release itself, whether in place or in waves. */
function releaseNotes({ target, supervisorsBehind }: PlanFacts, step: ReleaseStep): string[] {
  const behind = supervisorsBehind.join(', ');
  const command = `\`${supervisorCommand(target.release)}\`. ${supervisorCaution}.`;
  const supervisors =
    step === 'patch'
      ? `Supervisors may stay as they are: ${behind}. To upgrade them to ${target.release} too, run there: ${command}`
      : `Supervisors to be upgraded: ${behind}; once every process there runs ${target.release}, run there: ${command}`;
  return [
    ...(supervisorsBehind.length === 0 ? [] : [supervisors]),
    ...(target.signed === undefined ? [] : [`The release ${target.release} is ${target.signed}.`]),
    ...rehearsalNotes(target),
  ];
}

/** What it measured is not of the plan: `expected-times.ts`. */
function rehearsalNotes({ rehearsed }: PlanFacts['target']): string[] {
  if (rehearsed === undefined || rehearsed.obstacles.length === 0) return [];
  const { backup, obstacles } = rehearsed;
  return [`Rehearsed with the data of ${backup.takenAt}, it was no go: ${obstacles.join(' ')}`];
}

function notesOf(
  facts: PlanFacts,
  options: PlanOptions,
  waves: readonly { name: string; accounts: number }[],
  empty: readonly string[],
): string[] {
  const notes = accountNotes(options, waves);
  if (waves.length === 1 && facts.accounts.length > 1) {
    notes.push('All accounts move in one wave, so nothing is tried on a few first: --canary chooses who goes first.');
  }
  if (facts.accounts.length === 0) notes.push('There are no accounts to move: the upgrade has no waves.');
  if (empty.length > 0) {
    notes.push(
      `No instance is added for ${empty.join(', ')}, which ${empty.length === 1 ? 'has' : 'have'} no accounts. One is added if accounts arrive, or if ` +
        'the option `instances` names it.',
    );
  }
  return notes;
}
