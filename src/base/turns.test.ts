import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBell } from './bell.ts';
import { takeTurns } from './turns.ts';

/** Turns that ask for these rests and then end; returns the rests that were taken, and whether a ring ended them. */
async function restsOf(asked: readonly number[], onTurn: (turn: number, ring: () => void) => void = () => {}) {
  const rests: { durationMs: number; rung: boolean }[] = [];
  const bell = createBell({
    sleep: async (durationMs, signal) => {
      rests.push({ durationMs, rung: signal?.aborted === true });
    },
  });
  const ending = new AbortController();
  let turns = 0;
  await takeTurns(bell, ending.signal, async () => {
    onTurn(turns, bell.ring);
    const restMs = asked[turns++] ?? 0;
    if (turns === asked.length) ending.abort();
    return restMs;
  });
  assert.equal(turns, asked.length);
  return rests;
}

test('each turn is followed by the rest that it asks for, 0 by none, and the last by none', async () => {
  assert.deepEqual(await restsOf([20, 0, 30, 40]), [
    { durationMs: 20, rung: false },
    { durationMs: 30, rung: false },
  ]);
});

test('a ring during a turn ends the next rest, also when turns without a rest come first', async () => {
  const rests = await restsOf([0, 20, 30, 0], (turn, ring) => {
    if (turn === 0) ring();
  });
  assert.deepEqual(rests, [
    { durationMs: 20, rung: true },
    { durationMs: 30, rung: false },
  ]);
});

test('a turn that fails ends the loop with its error', async () => {
  const failure = new Error('no turn');
  const turns = takeTurns(createBell(), new AbortController().signal, () => Promise.reject(failure));
  await assert.rejects(turns, failure);
});
