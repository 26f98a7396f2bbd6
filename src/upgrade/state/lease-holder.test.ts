import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeadHolder } from './lease-holder.ts';

test('a holder is dead when its process on this host is gone, or the host was started anew; never one of another host', () => {
  const own = { host: 'here', bootId: 'b2' };
  const holder = (host: string, bootId: string) => `upgrade-coordinator@${host}#42/${bootId}/x`;
  for (const [text, isAlive, isDead] of [
    [holder('here', 'b2'), false, true],
    [holder('here', 'b2'), true, false],
    [holder('here', 'b1'), true, true],
    [holder('there', 'b1'), false, false],
    ['unreadable', false, false],
  ] as const) {
    assert.equal(
      isDeadHolder(text, own, () => isAlive),
      isDead,
      text,
    );
  }
});
