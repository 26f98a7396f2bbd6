import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeadHolder } from './lease-holder.ts';

test('a holder is dead when its process on this host is gone, or the host was started anew; never one of another host', () => {
  const own = { host: 'here', bootId: 'b2' };
  const holder = (host: string, bootId: string) => `upgrade-coordinator@${host}#42/${bootId}/x`;
  assert.equal(
    isDeadHolder(holder('here', 'b2'), own, () => false),
    true,
  );
  assert.equal(
    isDeadHolder(holder('here', 'b2'), own, () => true),
    false,
  );
  assert.equal(
    isDeadHolder(holder('here', 'b1'), own, () => true),
    true,
  );
  assert.equal(
    isDeadHolder(holder('there', 'b1'), own, () => false),
    false,
  );
  assert.equal(
    isDeadHolder('unreadable', own, () => false),
    false,
  );
});
