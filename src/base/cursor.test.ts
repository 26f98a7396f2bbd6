/** Cursors of pages: what was written is read, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cursorOf, isCursor, keysOf, maxCursorLength, type Order } from './cursor.ts';
import { newId } from './ids.ts';

const order: Order = { list: 'devices', sort: '-createdAt', keys: ['time', 'id'] };
const keys = ['2026-11-27T17:00:00.123456Z', newId<string>()];
const byName: Order = { list: 'accounts', sort: 'name', keys: ['text'] };
const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

test('keys come back as they were, whatever the text', () => {
  assert.deepEqual(keysOf(order, cursorOf(order, keys)), keys);
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
      fc.pre(!text.includes('\0'));
      assert.deepEqual(keysOf(byName, cursorOf(byName, [text])), [text]);
    }),
  );
});

test('a cursor of another list or another sort is refused, and says so', () => {
  const foreign = (other: Partial<Order>) => () => keysOf({ ...order, ...other }, cursorOf(order, keys));
  assert.throws(foreign({ list: 'accounts' }), { code: 'ERR_INPUT', message: /belongs to another list \(devices\)/ });
  assert.throws(foreign({ sort: 'createdAt' }), {
    code: 'ERR_INPUT',
    message: /belongs to another sort \(-createdAt\)/,
  });
  assert.throws(foreign({ sort: 'id', keys: ['id'] }), { code: 'ERR_INPUT', message: /another sort/ });
});

test('what no answer gave is refused', () => {
  const made = (...parts: unknown[]) => encoded(['devices', '-createdAt', ...parts]);
  const refused = [
    '',
    'x',
    'not a cursor',
    encoded(null),
    encoded({}),
    encoded([]),
    made(),
    made(keys[0]),
    made(...keys, 'more'),
    made(keys[1], keys[0]),
    made(17, keys[1]),
    made('2026-02-31T00:00:00.000000Z', keys[1]),
    made('2026-11-27T17:00:00Z', keys[1]),
    made('infinity', keys[1]),
    made(keys[0], 'no id'),
    encoded(['devices\n', '-createdAt', ...keys]),
    `${cursorOf(order, keys)}=`,
    cursorOf(order, keys).slice(0, -3),
    'W'.repeat(maxCursorLength + 1),
  ];
  for (const text of refused) assert.throws(() => keysOf(order, text), { code: 'ERR_INPUT' }, text);
  for (const text of ['a\0b', '\ud800']) {
    assert.throws(() => keysOf(byName, encoded(['accounts', 'name', text])), { code: 'ERR_INPUT' });
  }
});

test('no text at all makes it fail otherwise', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json().map((text) => Buffer.from(text).toString('base64url')),
      ),
      (text) => {
        assert.equal(typeof isCursor(text), 'boolean');
        assert.throws(() => keysOf(order, text), { code: 'ERR_INPUT' });
      },
    ),
  );
});
