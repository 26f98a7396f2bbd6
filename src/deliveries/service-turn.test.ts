import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restAfter } from './service-turn.ts';

const nothingOpen = { owed: 0, released: 0, takenInstance: 0 };
const idleTurn = { owedAgain: 0, dueInMs: Infinity, busyMs: 200, hasSent: false, hasFailed: false };

test('the next turn comes soon while something is to be sent, or while that is not known', () => {
  const busy = [
    restAfter(undefined, idleTurn),
    restAfter({ ...nothingOpen, owed: 1 }, idleTurn),
    restAfter({ ...nothingOpen, released: 1 }, idleTurn),
    restAfter(nothingOpen, { ...idleTurn, owedAgain: 1 }),
    restAfter(nothingOpen, { ...idleTurn, hasSent: true }),
  ];
  assert.deepEqual(busy, [200, 200, 200, 200, 200]);
});

test('otherwise it waits a second while devices have something or a step failed, and else a quarter of a minute', () => {
  assert.equal(restAfter(nothingOpen, idleTurn), 15_000);
  assert.equal(restAfter({ ...nothingOpen, takenInstance: 1 }, idleTurn), 1000);
  assert.equal(restAfter(nothingOpen, { ...idleTurn, hasFailed: true }), 1000);
});

test('it never waits longer than until something becomes due', () => {
  assert.equal(restAfter(nothingOpen, { ...idleTurn, dueInMs: 700 }), 700);
  assert.equal(restAfter({ ...nothingOpen, takenInstance: 1 }, { ...idleTurn, dueInMs: 700 }), 700);
  assert.equal(restAfter({ ...nothingOpen, takenInstance: 1 }, { ...idleTurn, dueInMs: 7000 }), 1000);
});
