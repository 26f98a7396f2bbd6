/**
 * Which options of an upgrade can be changed on the way, and until when. Pure.
 *
 * Invariant: what has taken effect already is never rewritten: who is in which wave is decided once.
 */
import type { OptionsChange, PlanOptions } from '../../api/upgrade-options.ts';
import { type UpgradeState, upgradeStates } from './upgrade-states.ts';

type Name = keyof OptionsChange;

/** They say how the waves are divided. */
const dividing: readonly Name[] = [
  'canaries',
  'canaryGroups',
  'canaryInstances',
  'canaryPlatforms',
  'canarySoftware',
  'canariesPerInstance',
  'wavePercentages',
  'maxAccounts',
  'maxDevices',
];

export function choosesCanaries(change: OptionsChange): boolean {
  return Object.keys(change).some((name) => name.startsWith('canar'));
}

/** The options that can no longer be changed; `state` is the one that a paused upgrade came from. */
export function settledOptions(state: UpgradeState, change: OptionsChange): Name[] {
  const names = Object.keys(change) as Name[];
  if (state === 'planned') return names;
  if (upgradeStates.has('before-waves', state)) return [];
  return upgradeStates.has('in-waves', state) ? names.filter((name) => dividing.includes(name)) : names;
}

/** The options with the change, and in words what it changes: `soakSeconds 600 → 60`. */
export function changeOptions(
  options: PlanOptions,
  change: Omit<OptionsChange, 'addDestinations'>,
): { options: PlanOptions; words: string[] } {
  const text = (value: unknown) => (value === undefined ? 'none' : JSON.stringify(value));
  const words = (Object.keys(change) as Exclude<Name, 'addDestinations'>[])
    .filter((name) => text(options[name]) !== text(change[name]))
    .map((name) => `${name} ${text(options[name])} → ${text(change[name])}`);
  return { options: { ...options, ...change } as PlanOptions, words };
}
