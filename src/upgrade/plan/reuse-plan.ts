/**
 * Repetition, as the original has it: one new instance takes the accounts of the first old one; that one, emptied, is upgraded in place
 * and takes the accounts of the second, and so on. The last one is left over and is retired: there are as many instances as before,
 * and only one is needed beside them. Pure.
 *
 * Invariant: an instance takes accounts only once its own have left, so the waves follow the instances.
 */
import type { PlanOptions } from '../../api/upgrade-options.ts';
import type { PlannedInstance } from '../../api/upgrade-plan.ts';
import { BrambleError } from '../../base/errors.ts';
import type { InstanceFacts } from './plan-facts.ts';
import type { PlacedAccount, WaveDefinition } from './wave-assignment.ts';

/** The old instances in the order in which they are emptied: those with the fewest accounts first. */
export function emptyingOrder<Instance extends { readonly name: string }>(
  instances: readonly Instance[],
  accounts: readonly PlacedAccount[],
): Instance[] {
  const sizes = new Map<string, number>();
  for (const { instance } of accounts) sizes.set(instance, (sizes.get(instance) ?? 0) + 1);
  const sizeOf = ({ name }: Instance) => sizes.get(name) ?? 0;
  return [...instances].sort((a, b) => sizeOf(a) - sizeOf(b) || (a.name < b.name ? -1 : 1));
}

/** Each of them, but for the first, is taken over by the one before. */
export function planReused(order: readonly InstanceFacts[]): PlannedInstance[] {
  return order.slice(1).flatMap(({ name: replaces }, index) => {
    const taker = order[index];
    return taker === undefined
      ? []
      : [{ name: taker.name, replaces, host: taker.host, reused: true, connectionServices: [] }];
  });
}

/**
 * Accounts keep the way to internal hosts only if the instance that takes them has one, too.
 * @throws BrambleError ERR_UPGRADE_INSTANCE
 */
export function assertReusable(order: readonly Pick<InstanceFacts, 'name' | 'reaches'>[]): void {
  const [first] = order;
  const other = order.find(({ reaches }) => reaches !== first?.reaches);
  if (first === undefined || other === undefined) return;
  throw new BrambleError(
    'ERR_UPGRADE_INSTANCE',
    `${first.name} cannot take over from ${other.name}: their connection services reach different internal hosts. Give ` +
      'them the same (`bramble connection-service`), or plan without --reuse-instances.',
    { details: { instances: [first.name, other.name] } },
  );
}

/** The canaries first, then what is left of one instance after the other. */
export function reuseWaves(
  accounts: readonly PlacedAccount[],
  order: readonly string[],
  { canaries, canariesPerInstance }: Pick<PlanOptions, 'canaries' | 'canariesPerInstance'>,
): WaveDefinition[] {
  const namesAt = (instance: string) =>
    accounts
      .filter((account) => account.instance === instance)
      .map(({ name }) => name)
      .sort();
  const first = canaries.length > 0 ? canaries : namesAt(order[0] ?? '').slice(0, canariesPerInstance);
  const rest = order.map((instance) => ({
    name: instance,
    accounts: namesAt(instance).filter((name) => !first.includes(name)),
  }));
  return [{ name: 'canary', accounts: [...first] }, ...rest]
    .filter((wave) => wave.accounts.length > 0)
    .map((wave, index) => ({ number: index + 1, ...wave }));
}
