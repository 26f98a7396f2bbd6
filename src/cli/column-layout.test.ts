import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import picocolors from 'picocolors';
import stringWidth from 'string-width';
import { layOut, wrapped } from './column-layout.ts';
import { facts, styleFor, table } from './text-output.ts';

const terminal = (columns: number) => styleFor({ isTTY: true, columns }, { NO_COLOR: '1' });
const why = "waiting for the instance's rate per minute, which others use up";
const deliveries = [
  ['user-0002', 'it-policy', '2026-11-23 02:11:17Z', why],
  ['user-0003', 'it-policy', '2026-11-23 02:11:17Z', '-'],
];

test('a text that does not fit continues below itself, at blanks; short columns stay whole', () => {
  assert.equal(
    table(terminal(76), ['account', 'item', 'owed', 'why it waits'], deliveries),
    `\
ACCOUNT    ITEM       OWED                  WHY IT WAITS
user-0002  it-policy  2026-11-23 02:11:17Z  waiting for the instance's rate
                                            per minute, which others use up
user-0003  it-policy  2026-11-23 02:11:17Z  -`,
  );
});

test('columns that do not fit beside the others continue on a further line of each row', () => {
  assert.equal(
    table(terminal(50), ['account', 'item', 'owed', 'why'], [...deliveries.slice(1), ['a', 'b', 'c', 'd']]),
    `\
ACCOUNT    ITEM       OWED                  WHY
user-0003  it-policy  2026-11-23 02:11:17Z  -
a          b          c                     d`,
  );
  assert.equal(
    table(terminal(30), ['account', 'item', 'owed', 'why'], deliveries.slice(1)),
    `\
ACCOUNT    ITEM
    OWED                  WHY
user-0003  it-policy
    2026-11-23 02:11:17Z  -`,
  );
});

test('a pipe has a line for each row, however long', () => {
  for (const stream of [{}, { columns: 20 }, { isTTY: true }]) {
    const [, first = ''] = table(styleFor(stream, {}), ['account', 'item', 'owed', 'why'], deliveries).split('\n');
    assert.ok(first.endsWith(why));
  }
});

test('a value continues below itself', () => {
  assert.equal(
    facts(terminal(30), [
      ['state', 'paused'],
      ['because', 'a gate said no twice today'],
    ]),
    `\
state    paused
because  a gate said no twice
         today`,
  );
});

test('a colour ends with each line and goes on in the next', () => {
  const { yellow } = picocolors.createColors(true);
  assert.deepEqual(wrapped(yellow('one two'), 4), [yellow('one'), yellow('two')]);
});

test('no word is broken or lost, and no line with blanks is too long', () => {
  const cell = fc.array(fc.stringMatching(/^[a-z山]{1,12}$/), { maxLength: 12 }).map((words) => words.join(' '));
  const rows = fc
    .integer({ min: 1, max: 7 })
    .chain((count) => fc.array(fc.array(cell, { minLength: count, maxLength: count }), { minLength: 1, maxLength: 5 }));
  fc.assert(
    fc.property(rows, fc.integer({ min: 30, max: 120 }), (given, width) => {
      layOut(given, width).forEach((lines, index) => {
        const words = (texts: readonly string[]) =>
          texts
            .flatMap((text) => text.split(' '))
            .filter(Boolean)
            .sort();
        assert.deepEqual(words(lines), words(given[index] ?? []));
        for (const line of lines) assert.ok(stringWidth(line) <= width, line);
      });
    }),
  );
});

test('a list of all accounts of a large domain is laid out', () => {
  const rows = [['NAME', 'DEVICES'], ...Array.from({ length: 150_000 }, (_, index) => [`user-${index}`, '2'])];
  assert.deepEqual(layOut(rows, 80).at(-1), ['user-149999  2']);
});
