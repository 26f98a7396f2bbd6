/** What the demo says at its end: one of a thing is not several, and columns stand below each other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DemoReport } from '../../demo/figures.ts';
import { reportText } from '../../demo/report-text.ts';

const report: DemoReport = {
  ...{
    seed: 's',
    outcome: 'finalized',
    release: { from: '1.2.1', to: '1.3.0', renumbered: false },
    devices: 1,
    moved: 1,
  },
  ...{ hosts: [], accounts: 1, failed: 0, reversed: 0, wallSeconds: 1 },
  requests: { sent: 1, failed: 0, sentAgain: 0, failedByClass: {}, lostDevices: 0 },
  commands: { enqueued: 1, acknowledged: 1, lost: 0, duplicated: 0 },
  tunnels: { opened: 1, broken: 0, refused: 0, breaks: [] },
  deliveries: {
    ...{ itPolicies: 1, serviceBooks: 1, synchronizations: 1, maxInFlight: 1, budget: 1, suspects: 1 },
    ...{ failed: 0, heldBackSeconds: 1 },
  },
  unavailabilityMs: { p50: 1, p99: 1, max: 1, accounts: 1 },
  waves: [],
  features: [
    { name: 'a', active: true, lockedBy: [] },
    { name: 'device-identity-renewal-by-name', active: true, lockedBy: [] },
  ],
  invariants: { 1: { result: 'held', checks: 1 }, 12: { result: 'not-exercised', checks: 0 } },
};

test('one check and one suspect are in the singular, and what was not tested is called that', () => {
  const text = reportText(report, false);
  assert.match(text, /held, 1 check$/m);
  assert.match(text, /1 suspect;/);
  assert.match(text, /1 IT policy, 1 service book, 1 synchronization$/m);
  assert.match(text, / not tested in this run$/m);
});

test('the longest name of a feature makes the column', () => {
  const lines = reportText(report, false)
    .split('\n')
    .filter((line) => line.endsWith(' active'));
  assert.equal(lines.length, 2);
  assert.deepEqual(
    lines.map((line) => line.length),
    [lines[0]?.length, lines[0]?.length],
  );
});
