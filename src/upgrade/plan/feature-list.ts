/**
 * The features of a domain of this release, each locked until the upgrade that adds it is finalized and every
 * registered component has it. A release adds rows; names are never changed.
 */
import type { Feature } from '../../registry/features.ts';
import { ownFeatures } from '../../registry/own-release.ts';

/** What this release adds, in words. */
export const featureList: readonly Feature[] = ownFeatures;
