import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { limitIn, testOrder, usualLimitMs } from './test-order.ts';

const limitMs = usualLimitMs;

test('files with whole domains begin, those that may take longest first, and are spread among the others', () => {
  const small = Array.from({ length: 10 }, (_, index) => ({
    ...{ path: `src/${index}.test.ts`, sizeBytes: 10 - index, limitMs },
  }));
  const order = testOrder([
    ...small,
    { path: 'test/system/smaller.test.ts', sizeBytes: 2, limitMs },
    { path: 'test/system/larger.test.ts', sizeBytes: 3, limitMs },
    { path: 'test/system/long.test.ts', sizeBytes: 1, limitMs: 2 * limitMs },
  ]);
  assert.deepEqual(
    order.flatMap((path, index) => (path.startsWith('test/system/') ? [`${index} ${path}`] : [])),
    ['0 test/system/long.test.ts', '3 test/system/larger.test.ts', '6 test/system/smaller.test.ts'],
  );
});

test('of the rest the long ones come first, however small they are', () => {
  const order = testOrder([
    { path: 'src/large.test.ts', sizeBytes: 9, limitMs },
    { path: 'src/small.long.test.ts', sizeBytes: 1, limitMs },
    { path: 'src/larger.long.test.ts', sizeBytes: 2, limitMs },
  ]);
  assert.deepEqual(order, ['src/larger.long.test.ts', 'src/small.long.test.ts', 'src/large.test.ts']);
});

test('every file runs once, whatever there are', () => {
  const file = fc.record({
    path: fc.constantFrom('src/', 'test/system/').chain((folder) => fc.nat().map((number) => `${folder}${number}`)),
    sizeBytes: fc.nat(),
    limitMs: fc.nat(),
  });
  fc.assert(
    fc.property(fc.uniqueArray(file, { selector: ({ path }) => path }), (files) => {
      assert.deepEqual(testOrder(files).sort(), files.map(({ path }) => path).sort());
    }),
  );
});

test('what a test may take is the longest that its file says', () => {
  assert.equal(limitIn("describe('x', { timeout: 900_000 }, () => { test('y', { timeout: 400000 }, …"), 900_000);
  assert.equal(limitIn('sql.end({ timeout: 5 })'), usualLimitMs);
});
