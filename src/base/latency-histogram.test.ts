import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  addLatency,
  binOf,
  countOf,
  latencyBins,
  lowerBoundMs,
  mergeHistograms,
  quantileMs,
} from './latency-histogram.ts';

function histogramOf(latencies: readonly number[]): number[] {
  const histogram: number[] = [];
  for (const latency of latencies) addLatency(histogram, latency);
  return histogram;
}

describe('latency histogram', () => {
  test('a latency is in the bin whose bounds hold it, the bounds themselves included', () => {
    for (let bin = 0; bin < latencyBins; bin++) {
      assert.equal(binOf(lowerBoundMs(bin)), bin);
      assert.equal(binOf(lowerBoundMs(bin) * 1.2), bin);
      if (bin > 0) assert.equal(binOf(lowerBoundMs(bin) * 0.9), bin - 1);
    }
    for (const latency of [0, 0.2, -1, Number.NaN]) assert.equal(binOf(latency), 0);
    for (const latency of [32_768, 1e9, Number.POSITIVE_INFINITY]) assert.equal(binOf(latency), latencyBins - 1);
  });

  test('merged histograms say what one of all requests says', () => {
    const [fast, slow] = [
      [1, 3, 9, 27, 81],
      [200, 400, 800.5, 40_000],
    ];
    assert.deepEqual(mergeHistograms(histogramOf(fast), histogramOf(slow)), histogramOf([...fast, ...slow]));
    assert.deepEqual(mergeHistograms(), []);
    assert.equal(countOf(mergeHistograms(histogramOf(fast), [], histogramOf(slow))), 9);
  });

  test('quantiles are within a factor of √2 of the exact ones', () => {
    const latencies = Array.from({ length: 1000 }, (_, n) => 5 + n * n * 0.01);
    for (const share of [0.01, 0.5, 0.95, 0.99, 1]) {
      const exact = latencies[Math.ceil(share * latencies.length) - 1] ?? Number.NaN;
      const told = quantileMs(histogramOf(latencies), share) ?? Number.NaN;
      assert.ok(told / exact < Math.SQRT2 && exact / told < Math.SQRT2, `p${100 * share}: ${told} for ${exact}`);
    }
    assert.equal(quantileMs([], 0.5), null);
    assert.equal(quantileMs([0, 0], 0.5), null);
  });

  test('a slow tail that a mean hides stands in the quantiles', () => {
    const histogram = histogramOf([...Array<number>(97).fill(10), ...Array<number>(3).fill(5000)]);
    assert.ok((quantileMs(histogram, 0.95) ?? 0) < 15);
    assert.ok((quantileMs(histogram, 0.99) ?? 0) > 3500);
  });
});
