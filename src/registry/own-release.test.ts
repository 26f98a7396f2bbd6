import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareReleases } from '../base/release-number.ts';
import { registeredPlatforms } from '../platforms/registered/platforms.ts';
import { rules } from '../policies/rules.ts';
import { featureStates } from './features.ts';
import { ownFeatureNames, ownFeatures, ownRelease } from './own-release.ts';

const sharing = ownFeatures.filter((feature) => feature.name === 'connection-service-sharing');
const router = { name: 'router-1', kind: 'router', features: [] as string[] } as const;
const able = { ...router, features: ['connection-service-sharing'] };
const coordinator = { name: 'upgrade-coordinator', kind: 'coordinator', features: [] as string[] } as const;

test('the features that components register are the ones described, each of this release or an earlier one', () => {
  assert.deepEqual(
    ownFeatures.map((feature) => feature.name),
    [...ownFeatureNames],
  );
  assert.ok(ownFeatures.every((feature) => compareReleases(feature.since, ownRelease) <= 0));
});

test('what needs a feature needs one of this release: a rule or a platform would stay locked for ever otherwise', () => {
  const needed = [...Object.values(rules), ...registeredPlatforms.all].flatMap(({ feature }) => feature ?? []);
  assert.ok(needed.length > 0);
  assert.deepEqual(
    needed.filter((name) => !ownFeatureNames.includes(name)),
    [],
  );
});

test('a feature waits for the level and for every component of its kinds, present or absent', () => {
  const lockedBy = (level: string, components: Parameters<typeof featureStates>[2]) =>
    featureStates(sharing, level, components)[0]?.lockedBy;
  assert.deepEqual(lockedBy('1.0.0', [able]), ['upgrade']);
  assert.deepEqual(lockedBy('1.1.0', [router, coordinator]), ['router-1']);
  assert.deepEqual(lockedBy('1.0.0', [router]), ['router-1', 'upgrade']);
  assert.deepEqual(lockedBy('1.1.0', [able, coordinator]), []);
  assert.equal(featureStates(sharing, '1.1.0', [able])[0]?.active, true);
});
