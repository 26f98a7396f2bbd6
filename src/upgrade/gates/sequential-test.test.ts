import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { seededRandom } from '../../simulator/seeded-random.ts';
import { evidenceAgainst, goodRequestsTo, logRatio, usualShare } from './sequential-test.ts';

test('looked at after every request, evidence of 20 is met by chance in one sample of 20 at most', () => {
  const seed = randomUUID();
  const usual = 0.05;
  let alarms = 0;
  const samples = 1500;
  for (let sample = 0; sample < samples; sample++) {
    const random = seededRandom(`${seed}/${sample}`);
    const stretches: { requests: number; bad: number }[] = [];
    for (let request = 0; request < 300; request++) {
      if (request % 10 === 0) stretches.push({ requests: 0, bad: 0 });
      const stretch = stretches.at(-1) ?? { requests: 0, bad: 0 };
      stretch.requests++;
      if (random.chance(usual)) stretch.bad++;
      if (evidenceAgainst(usual, stretches) < 20) continue;
      alarms++;
      break;
    }
  }
  // Five standard deviations above 1 in 20: once in millions of runs.
  assert.ok(alarms <= samples * 0.05 + 5 * Math.sqrt(samples * 0.05 * 0.95), `${alarms} of ${samples}, seed ${seed}`);
});

test('no single stretch of time gives more evidence than it may, however many fail in it', () => {
  assert.ok(evidenceAgainst(0.01, [{ requests: 5000, bad: 5000 }]) <= 20);
  const bad = { requests: 20, bad: 20 };
  assert.ok(evidenceAgainst(0.01, [bad, bad, bad]) > 400);
});

test('evidence and odds move the way that more bad and more good requests tell', () => {
  const share = fc.double({ min: 0.01, max: 0.5, noNaN: true });
  fc.assert(
    fc.property(share, fc.nat(500), fc.nat(500), (usual, good, bad) => {
      const seen = { requests: good + bad, bad };
      const worse = { requests: good + bad + 1, bad: bad + 1 };
      assert.ok(evidenceAgainst(usual, [worse]) >= evidenceAgainst(usual, [seen]) * (1 - 1e-9));
      assert.ok(logRatio(usual, usual + 0.1, worse) < logRatio(usual, usual + 0.1, seen));
      const needed = goodRequestsTo(Math.log(100), usual, usual + 0.1, seen);
      const then = { requests: seen.requests + needed, bad };
      assert.ok(logRatio(usual, usual + 0.1, then) >= Math.log(100) - 1e-6);
    }),
  );
});

test('what is usual lies above what was seen, closer with every request, and never below one in a hundred', () => {
  assert.equal(usualShare({ requests: 100_000, bad: 0 }), 0.01);
  assert.ok(usualShare({ requests: 0, bad: 0 }) > 0.02);
  const shares = [0, 1000, 10_000, 100_000].map((requests) => usualShare({ requests, bad: requests / 10 }));
  assert.deepEqual(
    shares.slice(1),
    shares.slice(1).toSorted((a, b) => b - a),
  );
  assert.ok((shares.at(-1) ?? 0) > 0.1);
});
