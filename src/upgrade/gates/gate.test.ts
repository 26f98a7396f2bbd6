import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { gateSettingsSchema } from '../../api/upgrade-options.ts';
import { binOf } from '../../base/latency-histogram.ts';
import { judgeGate } from './gate.ts';
import { type GateFigures, gateFiguresSchema } from './gate-figures.ts';

const settings = gateSettingsSchema.parse({});
const histogram = (count: number, ms: number) => {
  const bins: number[] = Array.from({ length: binOf(ms) + 1 }, () => 0);
  bins[binOf(ms)] = count;
  return bins;
};
const sample = (requests: number, failed = 0, ms = 20) => ({
  requests,
  failed,
  latency: histogram(requests - failed, ms),
});
/** So many stretches of ten seconds. */
const moved = (stretches: number, requests: number, failed = 0, ms = 20) =>
  Array.from({ length: stretches }, () => sample(requests, failed, ms));
const accounts = (all: number, ...unheard: string[]) => ({ all, heard: all - unheard.length, unheard, away: 0 });
const busiest = (requests: number, failed = 0) => ({ name: 'ada', requests, failed });
const noDeliveries = { done: 0, failed: 0, silent: 0, open: 0, missing: 0, excused: 0 };
const figures = (change: Partial<GateFigures> = {}): GateFigures => ({
  source: 'routers',
  moved: moved(10, 10),
  accounts: accounts(4),
  busiest: busiest(30),
  before: sample(1000),
  beforeByInstances: [],
  unmoved: sample(500),
  deliveries: { ...noDeliveries, done: 10 },
  usuallyMissing: { requests: 0, bad: 0 },
  interruptions: [],
  leftOut: { requests: 0, warmUpSeconds: 60 },
  seconds: 100,
  ...change,
});
const shortfallOf = (given: GateFigures) => {
  const answer = judgeGate(given, settings);
  assert.ok(answer.answer === 'undecided' && answer.cause === 'sample', answer.answer);
  return answer.lacks;
};
const answerTo = (change: Partial<GateFigures>, more = {}) =>
  judgeGate(figures(change), { ...settings, ...more }).answer;

test('as good as before passes, also where nobody is left to compare with', () => {
  assert.equal(answerTo({}), 'pass');
  assert.equal(answerTo({ unmoved: null }), 'pass');
});

test('a new instance that answers 500 fails within some tens of seconds, long before there are requests enough to pass', () => {
  assert.equal(answerTo({ moved: moved(10, 10, 10) }), 'fail');
  assert.equal(answerTo({ moved: moved(3, 3, 3), busiest: busiest(9, 9) }), 'fail');
});

test('nine slow requests of a cold process, and one error in thirteen, fail no gate: it is undecided', () => {
  const cold = {
    moved: moved(3, 3, 0, 76),
    before: sample(1000, 0, 19),
    accounts: accounts(1),
    unmoved: null,
  };
  assert.equal(answerTo(cold), 'undecided');
  assert.equal(answerTo({ ...cold, moved: moved(3, 3, 0, 300) }), 'undecided', 'however slow');
  const one = [sample(5), sample(4, 1), sample(4)];
  assert.equal(answerTo({ moved: one }), 'undecided');
});

test('ten seconds in which nobody was served fail no gate', () => {
  assert.equal(answerTo({ moved: [...moved(30, 10), sample(40, 40), ...moved(30, 10)] }), 'undecided');
  assert.equal(answerTo({ moved: [...moved(30, 10), sample(10, 10), ...moved(30, 10)] }), 'pass');
});

test('too small a sample is undecided, and says how many samples are needed and for how long', () => {
  const few = figures({ moved: moved(2, 10), busiest: busiest(5), seconds: 20 });
  const answer = judgeGate(few, settings);
  assert.equal(answer.answer === 'undecided' && answer.cause, 'sample');
  const lacks = shortfallOf(few);
  assert.ok(lacks.requests !== null && lacks.requests > 20 && lacks.requests < 40, `${lacks.requests}`);
  assert.equal(lacks.seconds, lacks.requests);
  assert.match(
    lacks.reasons.join(),
    /^needs \d+ more good samples \(a device counts once in 10 s\): 20 so far, so about \d+ s more at their pace$/,
  );
  assert.equal(shortfallOf(figures({ moved: [], busiest: busiest(0) })).seconds, null);
});

test('figures that cannot be read are undecided, never passed', () => {
  const { busiest: _busiest, ...short } = figures();
  for (const unreadable of [undefined, null, {}, 'x', short, { ...figures(), seconds: Number.NaN }]) {
    const answer = judgeGate(unreadable, settings);
    assert.equal(answer.answer === 'undecided' && answer.cause, 'unreadable');
  }
});

test('errors that everybody has are not put down to the new release', () => {
  const failing = { moved: moved(50, 10, 2) };
  assert.equal(answerTo(failing), 'fail');
  assert.notEqual(answerTo({ ...failing, unmoved: sample(500, 100) }), 'fail');
  assert.notEqual(answerTo({ ...failing, before: sample(500, 100) }), 'fail');
});

test('twice as slow fails, and so does a slow tenth; a few milliseconds more do not', () => {
  const past = { before: sample(1000, 0, 100), unmoved: sample(500, 0, 100) };
  assert.equal(answerTo({ ...past, moved: moved(30, 10, 0, 300) }), 'fail');
  const tail = {
    requests: 10,
    failed: 0,
    latency: [...histogram(9, 100), ...histogram(1, 1000).slice(binOf(100) + 1)],
  };
  assert.equal(answerTo({ ...past, moved: Array.from({ length: 40 }, () => tail) }), 'fail');
  assert.equal(answerTo({ ...past, moved: moved(30, 10, 0, 120) }), 'pass');
  assert.equal(answerTo({ moved: moved(30, 10, 0, 45) }), 'pass', 'twice 20 ms is nothing that anybody notices');
});

test('an instance that ended unasked twice, or lost its lease, fails by rule; once is nobody’s fault', () => {
  const exit = { name: 'server-1-1-2', cause: 'exit' };
  assert.equal(answerTo({ interruptions: [exit] }), 'pass');
  const answer = judgeGate(figures({ interruptions: [exit, { ...exit, cause: 'lease' }] }), settings);
  assert.equal(answer.answer, 'fail');
  assert.match(answer.reasons.join(), /exited unexpectedly or lost their lease 2 times \(server-1-1-2: exit/);
});

test('one busy account makes a gate fail, but does not pass it for the others', () => {
  const busy = { busiest: busiest(100) };
  assert.equal(answerTo(busy), 'undecided');
  assert.equal(answerTo({ ...busy, accounts: accounts(1) }), 'pass');
  const failing = { moved: moved(10, 10, 4), busiest: busiest(100, 40) };
  assert.equal(answerTo(failing), 'fail');
  const alone = judgeGate(figures({ ...busy, accounts: accounts(1) }), settings);
  assert.match(alone.reasons.join(), /based on a single account/);
});

test('many refused or unanswered deliveries fail, whatever the requests say; few keep it shut', () => {
  const to = (change: Partial<GateFigures['deliveries']>) => answerTo({ deliveries: { ...noDeliveries, ...change } });
  assert.equal(to({ done: 15, failed: 15 }), 'fail');
  assert.equal(to({ done: 4, silent: 36 }), 'fail');
  assert.equal(to({ failed: 2 }), 'undecided');
  assert.equal(to({ done: 60, silent: 40 }), 'undecided');
  assert.equal(to({ done: 15, failed: 1, silent: 1, open: 3 }), 'pass');
});

test('deliveries that stay open keep it shut, and so do devices that stay away, unless as many do that were not moved', () => {
  const deliveries = { ...noDeliveries, done: 9, failed: 1, silent: 1, open: 9 };
  assert.match(
    shortfallOf(figures({ deliveries })).reasons.join(),
    /of 20 devices that have come, the deliveries of 10 are open/,
  );
  assert.equal(answerTo({ deliveries }, { maxErrorRateDifference: 1 }), 'pass', 'availability is not judged');
  const away = { deliveries: { ...noDeliveries, done: 60, missing: 40 } };
  assert.match(
    shortfallOf(figures(away)).reasons.join(),
    /40 of 100 devices .* have not come since; .* not moved 0 of 0/,
  );
  assert.equal(answerTo({ ...away, usuallyMissing: { requests: 1000, bad: 100 } }), 'undecided');
  assert.equal(
    answerTo({ ...away, usuallyMissing: { requests: 1000, bad: 420 } }),
    'pass',
    'at the end of a working day',
  );
  assert.equal(
    answerTo({ deliveries: { ...noDeliveries, done: 9, missing: 1, excused: 90 } }),
    'pass',
    'switched off for long',
  );
});

test('without a past no latency passes unseen: but where nobody notices it, or the instances tell of the past, or a number was chosen', () => {
  const slow = { moved: moved(12, 10, 0, 20_000), unmoved: null };
  const none = { ...slow, before: sample(0) };
  assert.match(
    shortfallOf(figures(none)).reasons.join(),
    /100\.0 % of 120 requests took longer than 50 ms, and too little is known about their usual latency/,
  );
  assert.equal(answerTo({ ...none, before: sample(40) }), 'undecided');
  assert.equal(answerTo({ ...none, moved: moved(12, 10, 0, 20) }), 'pass');
  const told = { ...none, beforeByInstances: histogram(100, 400) };
  assert.match(shortfallOf(figures(told)).reasons.join(), /p50 is \d+ ms .*past latency as reported by the instances/);
  assert.equal(answerTo({ ...told, moved: moved(12, 10, 0, 500) }), 'pass');
  assert.equal(answerTo({ ...told, moved: moved(60, 10, 0, 20_000) }), 'undecided', 'nor does it fail one');
  assert.equal(answerTo(none, { leastRequests: 31 }), 'pass');
  assert.equal(answerTo({ ...slow, before: sample(30), unmoved: sample(30) }), 'fail', 'two short ones make a past');
});

test('whose samples are lacking is said: of others than the busiest account, and who was not heard', () => {
  const alone = figures({ moved: moved(60, 10), busiest: busiest(600), accounts: accounts(2, 'bob'), seconds: 600 });
  const lacks = shortfallOf(alone);
  assert.equal(lacks.requests, 25);
  assert.equal(lacks.seconds, null);
  assert.match(
    lacks.reasons.join(),
    /^needs 25 more good samples .* from accounts other than ada, .*: 600 so far, 600 of them from ada,no request yet from bob$/,
  );
  const some = shortfallOf(
    figures({ moved: moved(60, 10), busiest: busiest(590), accounts: accounts(2), seconds: 600 }),
  );
  assert.deepEqual([some.requests, some.seconds], [15, 900]);
  assert.equal(answerTo({ moved: moved(60, 10), busiest: busiest(575), accounts: accounts(2) }), 'pass');
  const away = judgeGate({ ...alone, accounts: { ...accounts(1), away: 1 } }, settings);
  assert.equal(away.answer, 'pass');
  assert.match(
    away.reasons.join(),
    /based on a single account,1 account not counted, because their devices had not connected before either/,
  );
});

test('a chosen number of samples that one slow request makes too few: it is named', () => {
  const slow = { requests: 1, failed: 0, latency: histogram(1, 2000) };
  const canaries = {
    moved: [...moved(6, 2), sample(1), slow],
    accounts: accounts(2),
    busiest: busiest(8),
    seconds: 60,
  };
  const answer = judgeGate(figures(canaries), { ...settings, leastRequests: 2 });
  assert.ok(answer.answer === 'undecided' && answer.cause === 'sample');
  assert.match(
    answer.reasons.join(),
    /^needs 8 more good samples .* than ada, .*,7\.1 % of 14 requests took longer than \d+ ms; the usual p95 is [^,]*, p95 \d+ ms, p99 \d+ ms$/,
  );
});

test('what equals the defaults of 1.1 was not chosen; a number that was chosen is enough, unless something speaks against it', () => {
  const few = { moved: moved(2, 5), busiest: busiest(2) };
  assert.equal(answerTo(few, { leastRequests: 30, maxErrorRateDifference: 0.02, patienceSeconds: 120 }), 'undecided');
  assert.equal(answerTo({ moved: moved(4, 10) }, { leastRequests: 30 }), 'undecided');
  assert.equal(answerTo(few, { leastRequests: 10 }), 'pass');
  assert.equal(answerTo({ ...few, moved: moved(2, 5, 1) }, { leastRequests: 10 }), 'undecided');
  assert.equal(answerTo({ moved: moved(20, 10, 5) }, { maxErrorRateDifference: 1 }), 'pass');
});

test('more errors never turn fail or undecided into pass', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.nat(20), fc.nat(20), (requests, a, b) => {
      const [fewer, more] = [Math.min(a, b, requests), Math.min(Math.max(a, b), requests)];
      if (answerTo({ moved: moved(10, requests, fewer) }) !== 'pass') {
        assert.notEqual(answerTo({ moved: moved(10, requests, more) }), 'pass');
      }
    }),
  );
});

test('no figures whatsoever make a gate throw, and none pass it without requests', () => {
  fc.assert(
    fc.property(fc.anything(), (anything) => {
      const answer = judgeGate(anything, settings);
      assert.ok(answer.answer !== 'pass' || gateFiguresSchema.parse(anything).moved.length > 0);
    }),
  );
  const judged = fc.array(
    fc.record({ requests: fc.nat(50), failed: fc.nat(50), latency: fc.array(fc.nat(9), { maxLength: 31 }) }),
  );
  fc.assert(
    fc.property(judged, fc.nat(5), (stretches, all) => {
      const answer = judgeGate(figures({ moved: stretches, accounts: accounts(all) }), settings);
      if (answer.answer === 'pass') assert.ok(answer.figures.requests >= 40);
    }),
  );
});
