/**
 * The wave of each account, as a pure rule: the canaries first, then percentages of all accounts, taken from the
 * instances in turn, so that no wave empties one instance while another waits. The same accounts give the same waves.
 */

import type { PlanOptions } from '../../api/upgrade-options.ts';
import { assertCanaries } from './canaries.ts';

export interface PlacedAccount {
  name: string;
  /** Name of its instance. */
  instance: string;
  /** Its active devices, where they were counted. */
  devices?: number;
}

export interface WaveDefinition {
  /** Starting at 1: the canaries. */
  number: number;
  name: string;
  accounts: string[];
}

/**
 * Divides the accounts into waves. Empty waves are omitted, and numbers have no gaps.
 * @throws BrambleError ERR_UPGRADE_CANARY when a named canary is not among the accounts.
 */
export function assignWaves(
  accounts: readonly PlacedAccount[],
  options: Pick<PlanOptions, 'canaries' | 'canariesPerInstance' | 'wavePercentages'>,
): WaveDefinition[] {
  const inTurn = takeInTurn(accounts);
  const canaries = chooseCanaries(inTurn, options);
  const rest = inTurn.filter((account) => !canaries.has(account.name)).map((account) => account.name);
  const waves: Omit<WaveDefinition, 'number'>[] = [{ name: 'canary', accounts: [...canaries] }];
  let taken = 0;
  for (const percentage of endingAtAll(options.wavePercentages)) {
    const until = Math.max(taken, Math.ceil((accounts.length * percentage) / 100) - canaries.size);
    waves.push({ name: `${percentage} %`, accounts: rest.slice(taken, until) });
    taken = Math.min(until, rest.length);
  }
  return waves.filter((wave) => wave.accounts.length > 0).map((wave, index) => ({ number: index + 1, ...wave }));
}

/** All accounts move in the end, whatever the percentages. */
function endingAtAll(percentages: readonly number[]): number[] {
  return percentages.at(-1) === 100 ? [...percentages] : [...percentages, 100];
}

function chooseCanaries(
  inTurn: readonly PlacedAccount[],
  options: Pick<PlanOptions, 'canaries' | 'canariesPerInstance'>,
): Set<string> {
  assertCanaries(inTurn, options.canaries);
  if (options.canaries.length > 0) return new Set(options.canaries);
  const instances = new Set(inTurn.map((account) => account.instance)).size;
  return new Set(inTurn.slice(0, options.canariesPerInstance * instances).map((account) => account.name));
}

/** The first of each instance, then the second of each, and so on; names in order within an instance. */
function takeInTurn(accounts: readonly PlacedAccount[]): PlacedAccount[] {
  const seen = new Map<string, number>();
  return [...accounts]
    .sort((a, b) => compare(a.instance, b.instance) || compare(a.name, b.name))
    .map((account) => {
      const turn = seen.get(account.instance) ?? 0;
      seen.set(account.instance, turn + 1);
      return { account, turn };
    })
    .sort((a, b) => a.turn - b.turn || compare(a.account.instance, b.account.instance))
    .map(({ account }) => account);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
