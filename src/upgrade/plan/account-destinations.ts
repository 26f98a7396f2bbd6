/**
 * Where each account of the waves goes: to one of the instances that take over from its own, by their shares. Pure.
 *
 * Invariant: canaries go to instances that are new, as those that are to be reused are not empty yet.
 */
import { createShares, type Taker } from '../state/shares.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import type { PlacedAccount, WaveDefinition } from './wave-assignment.ts';

interface Goal extends Taker {
  /** Name of the old instance whose accounts it takes. */
  readonly replaces: string;
  readonly origin?: NewInstance['origin'] | undefined;
}

/** The destination of each account by its name. @param assigned by an operator, whatever the shares */
export function accountDestinations<One extends Goal>(
  waves: readonly WaveDefinition[],
  accounts: readonly PlacedAccount[],
  goals: readonly One[],
  assigned: (account: string) => One | undefined = () => undefined,
): Map<string, One> {
  const instances = new Map(accounts.map(({ name, instance }) => [name, instance]));
  const added = goals.filter(({ origin }) => origin !== 'reused');
  const takers = Map.groupBy(goals, ({ replaces }) => replaces);
  const addedTakers = Map.groupBy(added, ({ replaces }) => replaces);
  const shares = createShares();
  const destinations = new Map<string, One>();
  for (const wave of waves) {
    const isCanary = wave.number === 1 && wave.name === 'canary';
    for (const account of wave.accounts) {
      const home = instances.get(account) ?? '';
      const own = isCanary
        ? (addedTakers.get(home) ?? (added.length > 0 ? added : goals.slice(0, 1)))
        : takers.get(home);
      const chosen = assigned(account);
      if (chosen !== undefined) shares.count(chosen);
      const goal = chosen ?? shares.next(own ?? []);
      if (goal !== undefined) destinations.set(account, goal);
    }
  }
  return destinations;
}
