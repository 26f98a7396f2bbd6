import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrambleError } from '../../base/errors.ts';
import { fenceLook } from './fence-look.ts';

test('a fence is blocked from the step that failed on it to the next that succeeded', async () => {
  const fence = fenceLook('1.4.0');
  assert.equal(await fence.look.look(), null, 'before the first step nothing is known');
  const details = { holders: ['bramble/administration/admin-1@far#7'] };
  fence.stepped(new BrambleError('ERR_RELEASE_FENCE_BLOCKED', 'blocked', { details }));
  const found = await fence.look.look();
  assert.match(
    found?.[0]?.message ?? '',
    /upgrade to 1\.4\.0 cannot go on: .* by bramble\/administration\/admin-1@far#7,/,
  );
  fence.stepped(new Error('the database is away'));
  assert.deepEqual(await fence.look.look(), found);
  fence.stepped(undefined);
  assert.deepEqual(await fence.look.look(), []);
});
