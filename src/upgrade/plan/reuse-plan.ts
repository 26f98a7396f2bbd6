/**
 * Repetition, as the original has it: a new instance takes the accounts of the first old one; that one, emptied, is upgraded in place
 * and takes the accounts of the second, and so on. The last one is left over and is retired: there are as many instances as before,
 * on each host, and only one is needed beside them. Where more new ones are asked for, as many begin. Pure.
 *
 * Invariants: an instance takes accounts only once its own have left, so the waves follow the instances; the last instances to be
 * emptied stand by in the old release until the upgrade is finalized.
 */
import type { PlanOptions } from '../../api/upgrade-options.ts';
import type { PlannedInstance } from '../../api/upgrade-plan.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import type { InstanceFacts } from './plan-facts.ts';
import { wishesFor } from './planned-instances.ts';
import type { PlacedAccount, WaveDefinition } from './wave-assignment.ts';

/** Which instances are replaced by new ones, and which by emptied ones. */
interface ReusePlan {
  /** The old instances in the order in which they are emptied. */
  readonly order: readonly InstanceFacts[];
  /** Those of them, from the first on, that a new instance takes over from; all of them if nothing is reused. */
  readonly added: readonly InstanceFacts[];
  /** Instances are, or are to be, on two hosts or more. */
  readonly spansHosts: boolean;
  /** Why nothing is reused although that would be the default. */
  readonly obstacle: string | undefined;
}

/** @throws BrambleError ERR_UPGRADE_INSTANCE if reuse is asked for, and accounts would lose or gain a way to internal hosts. */
export function planReuse(
  replaced: readonly InstanceFacts[],
  accounts: readonly PlacedAccount[],
  { instances, reuseInstances }: Pick<PlanOptions, 'instances' | 'reuseInstances'>,
): ReusePlan {
  const hosts = replaced.flatMap(({ name, host }) => [
    host,
    ...wishesFor({ instances }, name).map((wish) => wish.host ?? host),
  ]);
  const spansHosts = new Set(hosts).size > 1;
  const all = { order: replaced, added: replaced, spansHosts, obstacle: undefined };
  if (!(reuseInstances ?? spansHosts)) return all;
  const named = (name: string) => Object.hasOwn(instances, name);
  const order = emptyingOrder(replaced, accounts, named);
  const added = order.slice(0, Math.max(1, order.filter(({ name }) => named(name)).length));
  if (added.length === order.length) return all;
  const obstacle = otherReach(order);
  if (obstacle === undefined) return { order, added, spansHosts, obstacle };
  if (reuseInstances === undefined) return { ...all, obstacle };
  throw new BrambleError(
    'ERR_UPGRADE_INSTANCE',
    `${obstacle} Give them the same (\`bramble connection-service\`), or plan without --reuse-instances.`,
  );
}

/** Those with new instances of their own first, then those with the fewest accounts. */
function emptyingOrder(
  instances: readonly InstanceFacts[],
  accounts: readonly PlacedAccount[],
  named: (name: string) => boolean,
): InstanceFacts[] {
  const sizes = new Map<string, number>();
  for (const { instance } of accounts) sizes.set(instance, (sizes.get(instance) ?? 0) + 1);
  const sizeOf = ({ name }: InstanceFacts) => sizes.get(name) ?? 0;
  return [...instances].sort(
    (a, b) => Number(named(b.name)) - Number(named(a.name)) || sizeOf(a) - sizeOf(b) || (a.name < b.name ? -1 : 1),
  );
}

/** Accounts keep the way to internal hosts only if the instance that takes them has it, too. */
function otherReach([first, ...others]: readonly InstanceFacts[]): string | undefined {
  const other = others.find(({ reaches }) => reaches !== first?.reaches);
  return first === undefined || other === undefined
    ? undefined
    : `${first.name} cannot take over from ${other.name}: their connection services reach different internal hosts.`;
}

/** Of `order`, those that are emptied last: they are retired in the end, and stand by until then. */
function leftOver({ order, added }: ReusePlan): InstanceFacts[] {
  return order.slice(order.length - added.length);
}

/** The old instances that a new one replaces, on the hosts that would otherwise have one less in the end. */
export function placedForReuse(reuse: ReusePlan): InstanceFacts[] {
  const last = leftOver(reuse);
  return reuse.added.map((instance, index) => ({ ...instance, host: last[index]?.host ?? instance.host }));
}

/** The choices that were left open. */
export function settledForReuse(options: PlanOptions, { order, added, spansHosts }: ReusePlan): PlanOptions {
  const { reuseInstances = spansHosts, oldInstances = reuseInstances || spansHosts ? 'retire' : 'upgrade' } = options;
  return { ...options, reuseInstances: added.length < order.length, oldInstances };
}

/** Each of the others is taken over by one that was emptied before. */
export function planReused({ order, added }: ReusePlan): PlannedInstance[] {
  return order.slice(added.length).flatMap(({ name: replaces }, index) => {
    const taker = order[index];
    return taker === undefined
      ? []
      : [{ name: taker.name, replaces, host: taker.host, origin: 'reused', connectionServices: [] }];
  });
}

/** What it means for the domain, and what it costs. @param upgrade `added` is the number of new instances */
export function reuseNotes(
  reuse: ReusePlan,
  options: PlanOptions,
  upgrade: { from: string; to: string; added: number },
): string[] {
  const { from, to } = upgrade;
  const { order, added, obstacle } = reuse;
  const list = (instances: readonly InstanceFacts[]) => instances.map(({ name }) => name).join(', ');
  const more = upgrade.added - added.length;
  const number =
    more === 0 ? 'as many instances as before' : `${counted(more, 'instance')} more than before, as planned`;
  const end = (emptied: string) =>
    options.oldInstances === 'retire'
      ? `When finalizing, ${emptied} stopped and retired: there are ${number}.`
      : `When finalizing, ${emptied} upgraded in place to ${to} and can take accounts again; retire what you do not need with ` +
        '`bramble instance retire`.';
  const all = end('the emptied instances are');
  if (obstacle !== undefined) return [`Emptied instances do not become destinations: ${obstacle}`, all];
  if (added.length === order.length) return order.length === 0 ? [] : [all];
  const [emptied, last] = [order.slice(0, order.length - added.length), leftOver(reuse)];
  const are = last.length === 1 ? 'is' : 'are';
  return [
    `Emptied instances become destinations: ${list(emptied)} upgraded in place${emptied.length === 1 ? ' once it is empty' : ', each once it is empty'}. The waves follow the instances, ` +
      'whatever the percentages; --no-reuse-instances (`reuseInstances: false`) plans a new instance for each instead.',
    `Reversing stays possible until finalizing: ${list(last)}, emptied last, ${last.length === 1 ? 'runs' : 'run'} ${from} until then. ` +
      `What it costs: one instance after the other hands its accounts over, and reversing restarts ${list(emptied)} with ${from} ` +
      `before the accounts can return; ${to} serves their devices meanwhile.`,
    end(`${list(last)} ${are}`),
  ];
}

/** The canaries first, then what is left of one instance after the other. */
export function reuseWaves(
  accounts: readonly PlacedAccount[],
  order: readonly string[],
  { canaries, canariesPerInstance }: Pick<PlanOptions, 'canaries' | 'canariesPerInstance'>,
): WaveDefinition[] {
  const byInstance = Map.groupBy(accounts, ({ instance }) => instance);
  const namesAt = (instance: string) => (byInstance.get(instance) ?? []).map(({ name }) => name).sort();
  const first = new Set(canaries.length > 0 ? canaries : namesAt(order[0] ?? '').slice(0, canariesPerInstance));
  const rest = order.map((instance) => ({
    name: instance,
    accounts: namesAt(instance).filter((name) => !first.has(name)),
  }));
  return [{ name: 'canary', accounts: [...first] }, ...rest]
    .filter((wave) => wave.accounts.length > 0)
    .map((wave, index) => ({ number: index + 1, ...wave }));
}
