import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type HoldReason, holdReason, type Situation, waveWindow } from './situation.ts';
import { type WaitingFacts, waitingReason } from './waiting-reason.ts';

const facts: WaitingFacts = {
  state: 'owed',
  budgeted: true,
  deviceActive: true,
  accountMoving: false,
  canBePushed: true,
  answeredLater: false,
  unanswered: 0,
  wokenAt: null,
  lastSeenAt: null,
  handedOutAt: null,
  hold: 'nothing',
};
const reason = (changes: Partial<WaitingFacts>) => waitingReason({ ...facts, ...changes }).reason;

test('an owed delivery names what holds it', () => {
  assert.equal(reason({}), 'next-turn');
  assert.equal(reason({ hold: 'rate-domain' }), 'rate-domain');
  assert.equal(reason({ hold: 'rate-domain', budgeted: false }), 'next-turn');
  assert.equal(reason({ hold: 'slots-instance', accountMoving: true }), 'account-moving');
  assert.equal(reason({ deviceActive: false }), 'device-not-active');
  assert.equal(reason({ hold: null }), 'instance-silent');
});

test('a released delivery names what its device is waited for', () => {
  const released = { state: 'released' } as const;
  assert.equal(reason(released), 'being-woken');
  assert.equal(reason({ ...released, canBePushed: false }), 'push-token-missing');
  assert.equal(reason({ ...released, answeredLater: true }), 'not-now');
  assert.equal(reason({ ...released, wokenAt: 2, lastSeenAt: 1 }), 'device-asleep');
  assert.equal(reason({ ...released, wokenAt: 2, lastSeenAt: 3 }), 'being-woken');
  const takenBack = waitingReason({ ...facts, ...released, wokenAt: 3000, lastSeenAt: 1000, handedOutAt: 1000 });
  assert.equal(takenBack.reason, 'taken-back');
  assert.match(takenBack.message, /received it before and fell silent, since 1970-01-01T00:00:01\.000Z$/);
  assert.equal(reason({ ...released, answeredLater: true, wokenAt: 3, lastSeenAt: 1, handedOutAt: 1 }), 'not-now');
  for (const hold of ['slots-instance', 'slots-domain', 'suspects'] as const) {
    assert.equal(reason({ ...released, wokenAt: 2, lastSeenAt: 3, hold }), hold);
  }
  assert.equal(
    reason({ ...released, wokenAt: 2, lastSeenAt: 3, hold: 'slots-domain', budgeted: false }),
    'being-woken',
  );
});

test('a delivery that is with a device waits for its answer, and says since when', () => {
  const out = waitingReason({ ...facts, state: 'handed-out', handedOutAt: 0 });
  assert.equal(out.reason, 'answer');
  assert.match(out.message, /since 1970-01-01T00:00:00\.000Z$/);
  assert.equal(reason({ state: 'suspect', handedOutAt: 0 }), 'suspect');
  assert.equal(reason({ state: 'handed-out', handedOutAt: 0, unanswered: 4 }), 'answer');
  assert.equal(reason({ state: 'handed-out', handedOutAt: 0, unanswered: 5 }), 'unanswered');
  assert.equal(reason({ state: 'suspect', handedOutAt: 0, unanswered: 9 }), 'unanswered');
  const asleep = waitingReason({ ...facts, state: 'released', wokenAt: 2000, lastSeenAt: 1000 });
  assert.equal(asleep.since?.getTime(), 1000);
});

const situations = fc.record<Situation>({
  owed: fc.nat(50),
  released: fc.nat(50),
  expectedDevices: fc.nat(50),
  freeInstance: fc.nat(30),
  takenInstance: fc.nat(30),
  freeDomain: fc.nat(60),
  freeSuspects: fc.nat(2),
  silentInstance: fc.nat(2),
  silentDomain: fc.nat(4),
  forgottenDomain: fc.nat(2),
});
const tokens = fc.record({
  instance: fc.double({ min: 0, max: 3, noNaN: true }),
  domain: fc.double({ min: 0, max: 3, noNaN: true }),
});

test('the wave never exceeds what the free slots are worth', () => {
  fc.assert(
    fc.property(situations, (situation) => {
      const window = waveWindow(situation);
      assert.ok(window >= 0);
      assert.ok(
        window === 0 ||
          window + situation.expectedDevices <= 2 * Math.min(situation.freeInstance, situation.freeDomain),
      );
    }),
  );
});

test('something holds back exactly while something is owed or expected and cannot go on', () => {
  fc.assert(
    fc.property(situations, tokens, fc.nat(50), (situation, held, gone) => {
      const named: HoldReason = holdReason(situation, held, Math.min(gone, situation.owed));
      const left = situation.owed - Math.min(gone, situation.owed);
      if (left > 0) assert.notEqual(named, 'nothing');
      if (left === 0 && situation.expectedDevices === 0) assert.equal(named, 'nothing');
      if (named === 'slots-instance' && left === 0) assert.equal(situation.freeInstance, 0);
      const silent = situation.freeInstance === 0 ? situation.silentInstance : situation.silentDomain;
      const full = Math.min(situation.freeInstance, situation.freeDomain) === 0;
      const forgotten = situation.freeInstance > 0 && situation.forgottenDomain > 0;
      const bySuspects = full && ((situation.freeSuspects === 0 && silent > 0) || forgotten);
      assert.equal(named === 'suspects', bySuspects && (left > 0 || situation.expectedDevices > 0));
      if (named === 'rate-instance') assert.ok(held.instance < 1);
      if (named === 'rate-domain') assert.ok(held.domain < 1);
    }),
  );
});
