import assert from 'node:assert/strict';
import { test } from 'node:test';
import { optionsChangeSchema, planOptionsSchema } from '../../api/upgrade-options.ts';
import { changeOptions, settledOptions } from './options-change.ts';

test('what says how the waves are divided is settled once they are, and everything when nothing moves on', () => {
  const change = optionsChangeSchema.parse({ wavePercentages: [10, 100], soakSeconds: 60 });
  assert.deepEqual(settledOptions('planned', change), ['wavePercentages', 'soakSeconds']);
  assert.deepEqual(settledOptions('admin-fenced', change), []);
  assert.deepEqual(settledOptions('moving', change), ['wavePercentages']);
  assert.deepEqual(settledOptions('soaking', { soakSeconds: 60 }), []);
  for (const state of ['finalizing', 'reversing', 'done'] as const) {
    assert.deepEqual(settledOptions(state, { soakSeconds: 60 }), ['soakSeconds'], state);
  }
});

test('what is not given stays, defaults too, and what stays as it is changes nothing', () => {
  const options = planOptionsSchema.parse({ soakSeconds: 60, canaries: ['ada'], later: true });
  const change = optionsChangeSchema.parse({ waveDeadlineSeconds: 100, canaries: ['ada'] });
  assert.deepEqual(change, { waveDeadlineSeconds: 100, canaries: ['ada'] });
  const changed = changeOptions(options, change);
  assert.deepEqual(changed.words, ['waveDeadlineSeconds 14400 → 100']);
  assert.deepEqual(changed.options, { ...options, waveDeadlineSeconds: 100 });
});
