import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ofFirstDevices } from './releasing.ts';

test('a wave is of so many devices, each with all that it is owed in the list', () => {
  const owed = ['a', 'b', 'a', 'c', 'b', 'd', 'a'].map((deviceId, place) => ({ deviceId, place }));
  const places = (limit: number) => ofFirstDevices(owed, limit).map(({ place }) => place);
  assert.deepEqual(places(0), []);
  assert.deepEqual(places(1), [0, 2, 6]);
  assert.deepEqual(places(2), [0, 1, 2, 4, 6]);
  assert.deepEqual(places(9), [0, 1, 2, 3, 4, 5, 6]);
});
