/**
 * When each instance is replaced in place: one goes first and is observed, the others follow in waves of instances.
 * Pure.
 *
 * Invariant: every instance is in exactly one wave, and so is every connection service, with the first instance that it
 * serves.
 */

import type { PlanOptions } from '../../api/upgrade-options.ts';
import type { PlannedReplacement } from '../../api/upgrade-plan.ts';
import { counted } from '../../base/counted.ts';
import { assertCanaries } from './canaries.ts';
import type { InstanceFacts, PlanFacts } from './plan-facts.ts';
import { assignWaves, type PlacedAccount } from './wave-assignment.ts';

type ReplacementFacts = Pick<PlanFacts, 'accounts' | 'instances'>;

/**
 * The instances of the chosen canaries go first; without canaries the one with the fewest accounts, but not without
 * any: a gate can judge it, and a fault would affect the fewest. The others follow in that order, those without
 * accounts last.
 * @throws BrambleError ERR_UPGRADE_CANARY
 */
export function planReplacements(
  { accounts, instances }: ReplacementFacts,
  options: Pick<PlanOptions, 'canaries' | 'wavePercentages'>,
): PlannedReplacement[] {
  assertCanaries(accounts, options.canaries);
  const ordered = inOrder(accounts, instances);
  const chosen = new Set(
    accounts.filter(({ name }) => options.canaries.includes(name)).map(({ instance }) => instance),
  );
  const first = chosen.size > 0 ? ordered.filter(({ name }) => chosen.has(name)) : ordered.slice(0, 1);
  const waves = assignWaves(
    // Instances take turns in order of their names: these names keep this order.
    ordered.map(({ name }, index) => ({ name, instance: String(index).padStart(6, '0') })),
    { canaries: first.map(({ name }) => name), canariesPerInstance: 1, wavePercentages: options.wavePercentages },
  );
  const taken = new Set<string>();
  return waves.flatMap(({ number, accounts: names }) =>
    ordered
      .filter(({ name }) => names.includes(name))
      .map(({ name, host, connectionServices }) => {
        const services = connectionServices.filter((service) => !taken.has(service));
        for (const service of services) taken.add(service);
        return { name, host, wave: number, processes: [name, ...services] };
      }),
  );
}

function inOrder(accounts: readonly PlacedAccount[], instances: readonly InstanceFacts[]): InstanceFacts[] {
  const sizes = new Map<string, number>();
  for (const { instance } of accounts) sizes.set(instance, (sizes.get(instance) ?? 0) + 1);
  const sizeOf = ({ name }: InstanceFacts) => sizes.get(name) ?? Number.POSITIVE_INFINITY;
  return [...instances].sort((a, b) => compareSizes(sizeOf(a), sizeOf(b)) || (a.name < b.name ? -1 : 1));
}

function compareSizes(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

/** What an operator should know about it beforehand. */
export function replacementNotes(
  { accounts, target }: Pick<PlanFacts, 'accounts' | 'target'>,
  replacements: readonly PlannedReplacement[],
): string[] {
  const processes = replacements.reduce((sum, each) => sum + each.processes.length, 0);
  const hosts = [...new Set(replacements.map(({ host }) => host))];
  return [
    `${counted(processes, 'process is', 'processes are')} replaced in place, one after the other: each serves until ` +
      'its successor does. No account moves, and nothing is sent to devices; tunnels through a replaced ' +
      'connection service must be reopened.',
    ...(replacements.length === 1 && accounts.length > 0
      ? [
          'There is only one instance, so all accounts get the patch at once; with --no-in-place they get it in ' +
            'smaller waves.',
        ]
      : []),
    'The administration service is stopped for a few seconds while the new release takes over the database.',
    ...(hosts.length < 2
      ? []
      : [
          `${target.release} must be installed on each host beforehand (\`bramble release install\`): ` +
            `${hosts.join(', ')}.`,
        ]),
    ...(accounts.length === 0
      ? ['There are no accounts: gates have no requests to judge and only watch for processes that exit unexpectedly.']
      : []),
  ];
}
