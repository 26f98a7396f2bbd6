/** What is read of a component's own report, whatever its release wrote. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { takenLinks } from './component-detail.ts';

test("a router's links are read with what their release reports of them, and nothing else is taken for one", () => {
  const whole = { identifier: 'S00000001', since: '2026-11-25T10:00:00.000Z', reconnects: 2 };
  const bare = { identifier: 'S00000002' };
  const dialled = { router: 'router:3101', up: true, reconnects: 0 };
  assert.deepEqual(takenLinks({ links: [whole, bare, dialled, null, 'S00000003'] }), [
    whole,
    { ...bare, since: null, reconnects: 0 },
  ]);
  assert.deepEqual([takenLinks({}), takenLinks({ links: 'none' })], [[], []]);
});
