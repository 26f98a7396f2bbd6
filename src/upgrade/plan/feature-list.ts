/**
 * The features that a domain of this release can have, each locked until the upgrade that brings it is finalized and every
 * registered component has it. A release adds rows; names are kept for ever.
 */
import type { Feature } from '../../registry/features.ts';
import { ownFeatures } from '../../registry/own-release.ts';

/** What this release brings, in words. */
export const featureList: readonly Feature[] = ownFeatures;
