import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { maxJsonDepth, parseShallowJson } from './shallow-json.ts';

test('texts that nest by the thousand, of which JSON.parse itself can die, are refused before it sees them', () => {
  for (const unit of ['[1,', '["S1",null,', '{"a":', '[', '[{"a":1,"b":']) {
    for (let count = 0; count < 20; count++) {
      assert.throws(() => parseShallowJson(unit.repeat(60_000) + count), SyntaxError);
    }
  }
});

test('what nests less is read as by JSON.parse, brackets within texts or behind backslashes included', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 10 }), (text) => {
      assert.deepEqual(parseShallowJson(text), JSON.parse(text));
    }),
  );
  const brackets = JSON.stringify({ [`\\"${'['.repeat(500)}`]: `"${'{'.repeat(500)}\\` });
  assert.deepEqual(parseShallowJson(brackets), JSON.parse(brackets));
  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  assert.doesNotThrow(() => parseShallowJson(nested(maxJsonDepth)));
  assert.throws(() => parseShallowJson(nested(maxJsonDepth + 1)), /is nested deeper/);
});
