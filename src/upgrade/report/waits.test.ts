/** The list of waits: the rule, for any facts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { supervisorsText } from '../components/supervisors-behind.ts';
import { isFinal, isReversible, pausableStates, upgradeStates } from '../state/upgrade-states.ts';
import type { WaveState } from '../state/wave-states.ts';
import type { WaitFacts, WaitKind } from './wait.ts';
import { waitsOf } from './waits.ts';

const date = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) });
const names = fc.array(fc.string({ minLength: 1, maxLength: 8 }), { maxLength: 30 });
const waveFacts = fc.record({
  number: fc.nat(9),
  name: fc.constant('canary'),
  state: fc.constantFrom('waiting', 'running', 'soaking', 'passed', 'failed'),
  startedAt: fc.option(date),
  runningSince: fc.option(date),
  soakingAt: fc.option(date),
  accounts: fc.nat(9),
  settled: fc.nat(9),
  outOfReach: fc.nat(2),
  open: names,
  gateLacks: names,
  withoutDevices: names,
  accepted: fc.boolean(),
});
const facts: fc.Arbitrary<WaitFacts> = fc.record({
  now: date,
  state: fc.constantFrom(...upgradeStates.states),
  toRelease: fc.constant('1.2.0'),
  started: fc.boolean(),
  stoppedBy: fc.array(fc.record({ name: fc.string(), result: fc.constantFrom('error', 'warning') }), { maxLength: 2 }),
  pauseReason: fc.option(fc.string()),
  pausedFrom: fc.option(fc.constantFrom(...pausableStates)),
  pauseCause: fc.constantFrom('gate', 'failed-moves', 'other'),
  step: fc.option(fc.string()),
  waitsForDecision: fc.boolean(),
  decisionSince: fc.option(date),
  lockedFeatures: fc.subarray(['one', 'two']),
  coordinator: fc.record({ atWork: fc.boolean(), holder: fc.option(fc.string()) }),
  updatedAt: date,
  soakSeconds: fc.nat(600),
  waveDeadlineSeconds: fc.nat(600),
  windows: fc.constantFrom([], ['daily 01:00-04:00 UTC']),
  outOfReachRule: fc.record({
    outOfReach: fc.constantFrom('leave', 'pause', 'wait'),
    outOfReachSeconds: fc.nat(600),
  }),
  waves: fc.array(waveFacts, { maxLength: 3 }),
  inPlace: fc.boolean(),
  behind: fc.constantFrom(
    { instances: [], accounts: [] },
    {
      instances: [{ id: '1', name: 'east', accounts: 2 }],
      accounts: (['none', 'queued', 'delivering'] as const).map((move) => ({
        ...{ account: move, instance: 'east', move, batch: 'batch' },
      })),
    },
  ),
  missing: fc.array(
    fc.record({ name: fc.string(), host: fc.constantFrom('here', 'there'), release: fc.constant('1.2.0') }),
    { maxLength: 3 },
  ),
  hostsWithoutSupervisor: fc.subarray(['here', 'there']),
  supervisorsBehind: fc.subarray([
    { host: 'here', release: null, atWork: false },
    { host: 'there', release: '1.1.0', atWork: true },
  ]),
  sessions: fc.array(
    fc.record({
      pid: fc.nat(),
      applicationName: fc.string(),
      address: fc.option(fc.constant('::1')),
      since: fc.option(date),
      tables: names,
    }),
    { maxLength: 2 },
  ),
  holds: fc.array(
    fc.record({
      instance: fc.string(),
      reason: fc.constantFrom('suspects', 'slots-domain', 'rate-instance'),
      message: fc.string(),
      waiting: fc.nat(9),
      since: date,
    }),
    { maxLength: 2 },
  ),
  silent: fc.record({
    count: fc.nat(2),
    since: fc.option(date),
    devices: names,
    inSlots: fc.nat(2),
    capReached: fc.boolean(),
    patienceSeconds: fc.nat(600),
  }),
});

const isUnstarted = ({ state, started }: WaitFacts): boolean => state === 'planned' && !started;

test('whatever an open upgrade waits for has a reason, and one that is over waits for nothing', () => {
  fc.assert(
    fc.property(facts, (given) => {
      const waits = waitsOf(given);
      assert.equal(waits.length === 0, isFinal(given.state));
      if (isFinal(given.state)) return;
      const kinds = waits.map(({ what }) => what);
      assert.ok(waits.every(({ why, who }) => why !== '' && who.length <= 20) || given.step === '');
      assert.equal(kinds.filter((kind) => kind === 'session').length, given.sessions.length);
      assert.equal(kinds.filter((kind) => kind === 'budget').length, given.holds.length);
      assert.equal(kinds.filter((kind) => kind === 'supervisor').length, given.hostsWithoutSupervisor.length);
      const waitsForOld = given.state === 'finalizing' && given.supervisorsBehind.length > 0;
      assert.equal(kinds.includes('old-supervisor'), waitsForOld);
      const saidTwice = { ...given, step: supervisorsText(given.supervisorsBehind, given.toRelease) };
      if (waitsForOld) assert.ok(waitsOf(saidTwice).every(({ what }) => what !== 'step'));
      assert.equal(kinds.includes('silent-devices'), given.silent.count > 0);
      const canFinalize = given.state === 'soaking' && given.behind.instances.length === 0;
      assert.equal(kinds.includes('operator'), given.state === 'paused' || canFinalize || isUnstarted(given));
      if (canFinalize) assert.equal(kinds.includes('step'), given.step !== null && !given.waitsForDecision);
      const steps = waits.filter(({ what }) => what === 'step');
      const since = given.state === 'moving' ? null : given.updatedAt;
      assert.ok(
        steps.every((step) => step.since === since),
        'the upgrade changed before the wave began',
      );
      assert.equal(kinds.includes('accounts'), given.behind.instances.length > 0);
      const commands = waits.map(({ command }) => command ?? '').join('\n');
      if (!canFinalize) assert.doesNotMatch(commands, /upgrade finalize(?! --leave-supervisor)/);
      if (given.state === 'paused' && given.pausedFrom !== null && !isReversible(given.pausedFrom))
        assert.doesNotMatch(commands, /upgrade reverse/);
      assert.equal(kinds.includes('coordinator'), !given.coordinator.atWork && !isUnstarted(given));
      // What a person must do says what to type.
      const needsHand: WaitKind[] = [
        'operator',
        'coordinator',
        'supervisor',
        'old-supervisor',
        'session',
        'silent-devices',
        'budget',
        'accounts',
      ];
      assert.ok(waits.every(({ what, command }) => command !== null || !needsHand.includes(what)));
    }),
  );
});

test('waits of one account and one process are in the singular, and name what does not run', async () => {
  const wave: WaitFacts['waves'][number] = {
    ...{
      number: 1,
      name: 'canary',
      state: 'running',
      startedAt: new Date(0),
      runningSince: new Date(0),
      soakingAt: null,
      accounts: 1,
      settled: 0,
    },
    ...{ outOfReach: 0, open: [], gateLacks: [], withoutDevices: [], accepted: false },
  };
  const [sample] = fc.sample(facts, { numRuns: 1, seed: 1 });
  assert.ok(sample);
  const given: WaitFacts = {
    ...{ ...sample, state: 'moving', inPlace: false, waves: [wave], hostsWithoutSupervisor: [] },
    missing: [{ name: 'router-1', host: 'here', release: '1.3.0' }],
  };
  const why = (kind: WaitKind) => waitsOf(given).find(({ what }) => what === kind)?.why;
  assert.equal(why('process'), 'not yet running 1.3.0: router-1');
  assert.match(why('wave') ?? '', /^0 of 1 account of wave 1 \(canary\) settled;/);
});

test('accounts out of reach are counted, with what follows, until when, and the way on', () => {
  const [sample] = fc.sample(facts, { numRuns: 1, seed: 1 });
  assert.ok(sample);
  const wave: WaitFacts['waves'][number] = {
    ...{ number: 1, name: 'canary', state: 'running', startedAt: new Date(0), runningSince: new Date(60_000) },
    ...{
      soakingAt: null,
      accounts: 3,
      settled: 2,
      outOfReach: 1,
      open: [],
      gateLacks: [],
      withoutDevices: [],
      accepted: false,
    },
  };
  const ask = (outOfReach: 'leave' | 'pause' | 'wait', outOfReachSeconds: number, state: WaveState = 'running') => {
    const outOfReachRule = { outOfReach, outOfReachSeconds };
    const given = {
      ...sample,
      state: 'moving',
      inPlace: false,
      now: new Date(90_000),
      windows: [],
      outOfReachRule,
    } as const;
    const waits = waitsOf({ ...given, waves: [{ ...wave, state }] });
    assert.deepEqual(
      waits.filter(({ what }) => what === 'wave'),
      [],
      'all others have settled: nothing else is waited for',
    );
    const { why = '', until = null, command = '' } = waits.find(({ what }) => what === 'out-of-reach') ?? {};
    return [
      why.replace(/^1 account of wave 1 \(canary\) has moved, but its devices do not connect: /, ''),
      until,
      command,
    ];
  };
  const on = 'bramble deliveries';
  const change = `${on}; bramble upgrade set --out-of-reach leave`;
  assert.deepEqual(ask('leave', 0), ['nothing is waiting for them', null, on]);
  assert.deepEqual(ask('leave', 40), ['the wave goes on without them at the deadline', new Date(100_000), on]);
  assert.deepEqual(ask('pause', 40), ['the upgrade pauses for them at the deadline', new Date(100_000), change]);
  assert.deepEqual(ask('wait', 40), ['the wave waits until they do', null, change]);
  assert.deepEqual(ask('wait', 40, 'soaking'), ['nothing is waiting for them', null, on]);
});

test('a deadline is told by the time in which windows are open', () => {
  const [sample] = fc.sample(facts, { numRuns: 1, seed: 1 });
  assert.ok(sample);
  const runningSince = new Date('2026-11-26T02:00:00Z');
  const wave: WaitFacts['waves'][number] = {
    ...{ number: 1, name: 'canary', state: 'running', startedAt: runningSince, runningSince, soakingAt: null },
    ...{ accounts: 3, settled: 1, outOfReach: 1, open: [], gateLacks: [], withoutDevices: [], accepted: false },
  };
  const outOfReachRule = { outOfReach: 'pause', outOfReachSeconds: 3 * 3600 } as const;
  for (const now of ['2026-11-26T12:00:00Z', '2026-11-27T01:30:00Z']) {
    const waits = waitsOf({
      ...{ ...sample, state: 'moving', inPlace: false, now: new Date(now), waves: [wave], outOfReachRule },
      ...{ windows: ['daily 01:00-04:00 UTC'], waveDeadlineSeconds: 4 * 3600 },
    });
    const until = (kind: WaitKind) => waits.find(({ what }) => what === kind)?.until?.toISOString();
    assert.equal(until('wave'), '2026-11-27T03:00:00.000Z');
    assert.equal(until('out-of-reach'), '2026-11-27T02:00:00.000Z');
  }
});

test('how much of a soak is left is said', () => {
  const [sample] = fc.sample(facts, { numRuns: 1, seed: 1 });
  assert.ok(sample);
  const wave: WaitFacts['waves'][number] = {
    ...{ number: 1, name: 'canary', state: 'soaking', startedAt: new Date(0), runningSince: new Date(0) },
    ...{
      soakingAt: new Date(0),
      accounts: 1,
      settled: 1,
      outOfReach: 0,
      open: [],
      gateLacks: [],
      withoutDevices: [],
      accepted: false,
    },
  };
  const given = { ...sample, state: 'moving', now: new Date(240_000), soakSeconds: 600, waves: [wave] } as const;
  const soak = waitsOf(given).find(({ what }) => what === 'soak');
  assert.equal(soak?.why, 'wave 1 (canary) is being observed: 6.0 min left');
  assert.deepEqual(soak?.until, new Date(600_000));
});

test('an upgrade that nobody finalizes says for how long, and what stays locked', () => {
  const [given] = fc.sample(facts, 1);
  assert.ok(given);
  const now = new Date('2026-11-27T12:00:00Z');
  const soaking = { ...given, now, state: 'soaking' as const, behind: { instances: [], accounts: [] } };
  const told = (decisionSince: Date, lockedFeatures: string[]) =>
    waitsOf({ ...soaking, decisionSince, lockedFeatures }).find(({ what }) => what === 'operator');
  const since = new Date('2026-11-24T12:00:00Z');
  assert.deepEqual(told(since, ['one', 'two'])?.since, since);
  assert.equal(
    told(since, ['one', 'two'])?.why,
    'all waves passed 3.0 days ago; an operator must finalize or reverse the upgrade. Until then no other upgrade can be ' +
      'planned, and features stay locked: one, two',
  );
  assert.match(told(since, [])?.why ?? '', /can be planned$/);
});
