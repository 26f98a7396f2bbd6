import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStreamSlots } from './stream-slots.ts';

/** Who has a slot by now, of those who ask for one in this order. */
function slotsFor(limit: () => number, names: readonly string[]) {
  const slots = createStreamSlots(limit);
  const served: string[] = [];
  for (const name of names) void slots.take().then(() => served.push(name));
  const now = async () => {
    await new Promise(setImmediate);
    return served.join('');
  };
  return { slots, now };
}

test('no more than the limit have a slot, and each that comes back goes to the next in line', async () => {
  const { slots, now } = slotsFor(() => 2, ['a', 'b', 'c', 'd']);
  assert.equal(await now(), 'ab');
  slots.giveBack();
  assert.equal(await now(), 'abc');
  slots.giveBack();
  slots.giveBack();
  assert.equal(await now(), 'abcd');
});

test('a limit that falls holds for newcomers, and one of 0 still lets one through', async () => {
  let limit = 2;
  const { slots, now } = slotsFor(() => limit, ['a', 'b']);
  assert.equal(await now(), 'ab');
  limit = 0;
  slots.giveBack();
  slots.giveBack();
  await slots.take();
  let second = false;
  void slots.take().then(() => {
    second = true;
  });
  await now();
  assert.equal(second, false);
  slots.giveBack();
  await now();
  assert.equal(second, true);
});
