import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testOrder } from './test-order.ts';

test('files with whole domains begin, the largest first, and are spread among the others', () => {
  const small = Array.from({ length: 10 }, (_, index) => ({ path: `src/${index}.test.ts`, sizeBytes: 10 - index }));
  const order = testOrder([
    ...small,
    { path: 'test/system/short.test.ts', sizeBytes: 1 },
    { path: 'test/system/long.test.ts', sizeBytes: 2 },
  ]);
  assert.deepEqual(
    order.flatMap((path, index) => (path.startsWith('test/system/') ? [`${index} ${path}`] : [])),
    ['0 test/system/long.test.ts', '5 test/system/short.test.ts'],
  );
});

test('of the rest the long ones come first, however small they are', () => {
  const order = testOrder([
    { path: 'src/large.test.ts', sizeBytes: 9 },
    { path: 'src/small.long.test.ts', sizeBytes: 1 },
    { path: 'src/larger.long.test.ts', sizeBytes: 2 },
  ]);
  assert.deepEqual(order, ['src/larger.long.test.ts', 'src/small.long.test.ts', 'src/large.test.ts']);
});

test('every file runs once, whatever there are', () => {
  const file = fc.record({
    path: fc.constantFrom('src/', 'test/system/').chain((folder) => fc.nat().map((number) => `${folder}${number}`)),
    sizeBytes: fc.nat(),
  });
  fc.assert(
    fc.property(fc.uniqueArray(file, { selector: ({ path }) => path }), (files) => {
      assert.deepEqual(testOrder(files).sort(), files.map(({ path }) => path).sort());
    }),
  );
});
