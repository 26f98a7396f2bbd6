/**
 * Features and what holds them back. A feature is active when the domain's feature level has reached the release that
 * brings it and every registered component, absent ones included, has it (rule 5, invariant 8).
 */
import { compareReleases } from '../base/release-number.ts';
import type { Component } from './components.ts';

export interface Feature {
  name: string;
  /** The release that brings it. */
  since: string;
  /** What it does, in a sentence. */
  summary: string;
  /** Kinds of component that must have it. */
  kinds: readonly Component['kind'][];
}

export interface FeatureState {
  name: string;
  summary: string;
  active: boolean;
  /** Names of what holds it back: components, or `upgrade` while it is not finalized. */
  lockedBy: string[];
}

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
    if (compareReleases(featureLevel, feature.since) < 0) lockedBy.push('upgrade');
    return { name: feature.name, summary: feature.summary, active: lockedBy.length === 0, lockedBy };
  });
}
