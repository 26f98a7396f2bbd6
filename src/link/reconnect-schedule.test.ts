import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type ConnectionEnd,
  countsTowardsLimit,
  defaultReconnectLimits,
  recentConnections,
  reconnectDelayMs,
  wasSteady,
} from './reconnect-schedule.ts';

const random = fc.double({ min: 0, max: 0.999999, noNaN: true });

test('the first dial waits for nothing, and failures wait longer up to the limit', () => {
  assert.equal(reconnectDelayMs({ failures: 0, refused: false, connectedAt: [] }, 0, 0.5), 0);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), random, (failures, r) => {
      const delayMs = reconnectDelayMs({ failures, refused: false, connectedAt: [] }, 0, r);
      return delayMs >= defaultReconnectLimits.initialDelayMs / 2 && delayMs <= defaultReconnectLimits.maxDelayMs;
    }),
  );
});

test('a refused dialler stays away for a while', () => {
  const delayMs = reconnectDelayMs({ failures: 1, refused: true, connectedAt: [] }, 0, 0);
  assert.equal(delayMs, defaultReconnectLimits.refusedDelayMs);
});

const end = fc.record<ConnectionEnd>({
  upMs: fc.option(fc.integer({ min: 0, max: 40_000 })),
  brokenByOther: fc.boolean(),
  refused: fc.boolean(),
});

/** Plays a dialler: what it waited before each connection, and when it stood. */
function play(ends: readonly (ConnectionEnd & { r: number })[]) {
  let nowMs = 0;
  let failures = 0;
  let connectedAt: number[] = [];
  const nothing: number[] = [];
  const delays: { delayMs: number; refused: boolean }[] = [];
  let refused = false;
  for (const { r, ...ended } of ends) {
    connectedAt = recentConnections(connectedAt, nowMs);
    const delayMs = reconnectDelayMs({ failures, refused, connectedAt }, nowMs, r);
    delays.push({ delayMs, refused });
    nowMs += delayMs;
    if (countsTowardsLimit(ended)) {
      connectedAt.push(nowMs);
      nothing.push(nowMs);
      assert.ok(recentConnections(nothing, nowMs).length <= defaultReconnectLimits.maxConnectsPerMinute);
    }
    failures = wasSteady(ended) ? 1 : failures + 1;
    refused = ended.refused;
    nowMs += ended.upMs ?? 0;
  }
  return delays;
}
const ends = (of: fc.Arbitrary<ConnectionEnd>) =>
  fc.array(
    fc.tuple(of, random).map(([ended, r]) => ({ ...ended, r })),
    { maxLength: 60 },
  );

test('no minute ever sees more connections that come to nothing than allowed, whatever happens to them', () => {
  fc.assert(fc.property(ends(end), (all) => void play(all)));
});

test('breaking links, however often, keeps a dialler away for at most the greatest delay each time', () => {
  const broken = end.map((each) => ({ ...each, brokenByOther: true, refused: false }));
  fc.assert(
    fc.property(ends(broken), (all) =>
      play(all).every(({ delayMs, refused }) => !refused && delayMs <= defaultReconnectLimits.maxDelayMs),
    ),
  );
});

test('links that were up long enough restart at the first delay, whichever side ended them', () => {
  const { steadyAfterMs, initialDelayMs } = defaultReconnectLimits;
  const steady = end.map((each) => ({ ...each, upMs: steadyAfterMs + (each.upMs ?? 0), refused: false }));
  fc.assert(fc.property(ends(steady), (all) => play(all).every(({ delayMs }) => delayMs <= initialDelayMs)));
});
