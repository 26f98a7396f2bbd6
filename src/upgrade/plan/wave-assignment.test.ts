import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import { isBrambleError } from '../../base/errors.ts';
import { assignWaves } from './wave-assignment.ts';

const defaults = planOptionsSchema.parse({});
const accounts = (count: number, instances = 2) =>
  Array.from({ length: count }, (_, index) => ({
    name: `a${String(index).padStart(4, '0')}`,
    instance: `i${index % instances}`,
  }));

test('by default a few canaries of each instance go first, then 25, 50 and 100 percent of all accounts', () => {
  const waves = assignWaves(accounts(40), defaults);
  assert.deepEqual(
    waves.map((wave) => wave.accounts.length),
    [4, 6, 10, 20],
  );
  assert.deepEqual(
    waves.map((wave) => wave.number),
    [1, 2, 3, 4],
  );
  assert.deepEqual(waves[0]?.accounts, ['a0000', 'a0001', 'a0002', 'a0003']);
});

test('named canaries are the canaries, and a name that does not exist is refused', () => {
  const waves = assignWaves(accounts(10), { ...defaults, canaries: ['a0007'] });
  assert.deepEqual(waves[0]?.accounts, ['a0007']);
  assert.throws(
    () => assignWaves(accounts(10), { ...defaults, canaries: ['nobody'] }),
    (error) => isBrambleError(error, 'ERR_UPGRADE_CANARY'),
  );
});

test('percentages that end below 100 are followed by a last wave with everybody else', () => {
  const waves = assignWaves(accounts(100), { ...defaults, wavePercentages: [10] });
  assert.deepEqual(
    waves.map((wave) => wave.name),
    ['canary', '10 %', '100 %'],
  );
});

test('every account is in exactly one wave, no wave is empty, and the numbers have no gap', () => {
  fc.assert(
    fc.property(
      fc.nat(120),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 10 }),
      fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { maxLength: 6 }),
      (count, instances, canariesPerInstance, percentages) => {
        const all = accounts(count, instances);
        const wavePercentages = percentages.sort((a, b) => a - b);
        const waves = assignWaves(all, { canaries: [], canariesPerInstance, wavePercentages });
        assert.deepEqual(waves.flatMap((wave) => wave.accounts).sort(), all.map((account) => account.name).sort());
        assert.deepEqual(
          waves.map((wave) => wave.number),
          waves.map((_, index) => index + 1),
        );
        for (const wave of waves) assert.ok(wave.accounts.length > 0);
      },
    ),
  );
});
