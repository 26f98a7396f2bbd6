import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  canFollow,
  followers,
  isFinal,
  isPausable,
  pausableStates,
  type UpgradePosition,
  type UpgradeState,
  undoTransition,
  upgradeStates,
} from './upgrade-states.ts';

const start: UpgradePosition = { state: 'planned', pausedFrom: null };

function go(position: UpgradePosition, next: UpgradeState): UpgradePosition {
  assert.ok(canFollow(position, next));
  if (next !== 'paused') return { state: next, pausedFrom: null };
  assert.ok(isPausable(position.state));
  return { state: 'paused', pausedFrom: position.state };
}

/** A random walk: each number chooses among the followers. */
function walk(choices: readonly number[]): UpgradePosition[] {
  const positions = [start];
  for (const choice of choices) {
    const current = positions.at(-1) ?? start;
    const next = followers(current);
    const chosen = next[choice % Math.max(1, next.length)];
    if (chosen === undefined) break;
    positions.push(go(current, chosen));
  }
  return positions;
}

const walks = fc.array(fc.nat(20), { maxLength: 60 });

test('from every state that is not final something can go on, and from a final one nothing', () => {
  fc.assert(
    fc.property(walks, (choices) => {
      for (const position of walk(choices)) {
        assert.equal(followers(position).length === 0, isFinal(position.state));
      }
    }),
  );
});

test('a paused upgrade goes back to where it came from or is reversed; paused in reversing or finalizing, it only goes on', () => {
  fc.assert(
    fc.property(fc.constantFrom(...pausableStates), fc.constantFrom(...upgradeStates.states), (pausedFrom, next) => {
      const allowed = canFollow({ state: 'paused', pausedFrom }, next);
      const isOnward = pausedFrom === 'reversing' || pausedFrom === 'finalizing';
      assert.equal(allowed, next === pausedFrom || (next === 'reversing' && !isOnward));
    }),
  );
});

test('finalizing is the last point: no walk leads from it to anything but done', () => {
  fc.assert(
    fc.property(walks, (choices) => {
      const states = walk(choices).map((position) => position.state);
      const at = states.indexOf('finalizing');
      if (at >= 0)
        assert.deepEqual(
          states.slice(at + 1).filter((state) => !['done', 'paused', 'finalizing'].includes(state)),
          [],
        );
    }),
  );
});

test('a reversal never becomes an upgrade again', () => {
  fc.assert(
    fc.property(walks, (choices) => {
      const states = walk(choices).map((position) => position.state);
      const at = states.indexOf('reversing');
      if (at >= 0) {
        assert.deepEqual(
          states.slice(at).filter((state) => !['reversing', 'paused', 'reversed'].includes(state)),
          [],
        );
      }
    }),
  );
});

test('the database is fenced before it is expanded, and expanded before any account moves', () => {
  fc.assert(
    fc.property(walks, (choices) => {
      const states = walk(choices).map((position) => position.state);
      const at = (state: UpgradeState) => states.indexOf(state);
      if (at('expanded') >= 0) assert.ok(at('admin-fenced') >= 0 && at('admin-fenced') < at('expanded'));
      if (at('moving') >= 0) assert.ok(at('admin-upgraded') >= 0 && at('admin-upgraded') < at('moving'));
      if (at('finalizing') >= 0) assert.ok(at('soaking') >= 0 && at('soaking') < at('finalizing'));
    }),
  );
});

test('an upgrade is cancelled before the fence, reversed after it, and neither from finalizing on', () => {
  assert.equal(undoTransition(start), 'cancelled');
  assert.equal(undoTransition({ state: 'soaking', pausedFrom: null }), 'reversing');
  assert.equal(undoTransition({ state: 'paused', pausedFrom: 'moving' }), 'reversing');
  assert.equal(undoTransition({ state: 'paused', pausedFrom: 'reversing' }), undefined);
  assert.equal(undoTransition({ state: 'finalizing', pausedFrom: null }), undefined);
  assert.equal(undoTransition({ state: 'paused', pausedFrom: 'finalizing' }), undefined);
  assert.equal(undoTransition({ state: 'done', pausedFrom: null }), undefined);
});
