import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { defaultReconnectLimits, recentConnections, reconnectDelayMs } from './reconnect-schedule.ts';

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

test('no minute ever sees more connections than allowed, whatever happens to them', () => {
  const happening = fc.record({
    lastsMs: fc.integer({ min: 0, max: 20_000 }),
    failures: fc.integer({ min: 0, max: 9 }),
    r: random,
  });
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
      let nowMs = 0;
      const all: number[] = [];
      for (const { lastsMs, failures, r } of happenings) {
        const connectedAt = recentConnections(all, nowMs);
        nowMs += reconnectDelayMs({ failures, refused: false, connectedAt }, nowMs, r);
        all.push(nowMs);
        assert.ok(recentConnections(all, nowMs).length <= defaultReconnectLimits.maxConnectsPerMinute);
        nowMs += lastsMs;
      }
    }),
  );
});
