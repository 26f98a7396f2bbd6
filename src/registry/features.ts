/**
 * Features and what holds them back. A feature is active when the domain's feature level has reached the release that
 * brings it and every registered component, absent ones included, has it (rule 5, invariant 8).
 */
import { BrambleError } from '../base/errors.ts';
import { compareReleases } from '../base/release-number.ts';
import type { Queryable } from '../database/connection.ts';
import { readDomain } from '../domain/domain.ts';
import { type Component, listComponents } from './components.ts';

export interface Feature {
  name: string;
  /** The release that brings it. */
  since: string;
  /** What it does, in a sentence. */
  summary: string;
  /** Kinds of component that must have it. */
  kinds: readonly Component['kind'][];
}

interface FeatureState {
  name: string;
  summary: string;
  active: boolean;
  /** Names of what holds it back: components, or `upgrade` while it is not finalized. */
  lockedBy: string[];
}

/** Of the states of features, the names of those that finalizing the upgrade would unlock, at least in part. */
export function lockedByUpgrade(states: readonly Pick<FeatureState, 'name' | 'lockedBy'>[]): string[] {
  return states.filter(({ lockedBy }) => lockedBy.includes(upgradeLock)).map(({ name }) => name);
}

const upgradeLock = 'upgrade';

/** The state of each feature, given the level and every registered component. */
export function featureStates(
  features: readonly Feature[],
  featureLevel: string,
  components: readonly Pick<Component, 'name' | 'kind' | 'features'>[],
): FeatureState[] {
  return features.map((feature) => {
    const lockedBy = components
      .filter((component) => feature.kinds.includes(component.kind) && !component.features.includes(feature.name))
      .map((component) => component.name);
    if (compareReleases(featureLevel, feature.since) < 0) lockedBy.push(upgradeLock);
    return { name: feature.name, summary: feature.summary, active: lockedBy.length === 0, lockedBy };
  });
}

/**
 * Returns when the feature is active. An active feature stays active: the level never falls, and no component of an
 * earlier release may register after it was raised.
 * @param wish what needs it, as the subject of a sentence
 * @throws BrambleError ERR_FEATURE_LOCKED that names what holds it back.
 */
export async function requireFeature(
  q: Queryable,
  features: readonly Feature[],
  name: string,
  wish: string,
): Promise<void> {
  const state = await stateOf(q, features, name);
  if (state.active) return;
  throw new BrambleError(
    'ERR_FEATURE_LOCKED',
    `${wish} needs the feature ${name}, which is held back by: ${state.lockedBy.join(', ')}. Finalize the upgrade, ` +
      'and upgrade or forget the components listed; `bramble features` shows them.',
    { details: { feature: name, lockedBy: state.lockedBy } },
  );
}

/** Whether the feature is active; once it is, it stays so. */
export async function isFeatureActive(q: Queryable, features: readonly Feature[], name: string): Promise<boolean> {
  return (await stateOf(q, features, name)).active;
}

async function stateOf(q: Queryable, features: readonly Feature[], name: string): Promise<FeatureState> {
  const { featureLevel } = await readDomain(q);
  const [state] = featureStates(
    features.filter((feature) => feature.name === name),
    featureLevel,
    await listComponents(q),
  );
  if (state === undefined) throw new TypeError(`there is no feature ${name}`);
  return state;
}
