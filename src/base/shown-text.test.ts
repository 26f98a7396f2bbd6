import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { shownJson, shownLine, shownLines, shownText, shownValue, unseenCharacter } from './shown-text.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come out
const obeyed = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: a colour of our own begins with one
const colour = /\u001b\[\d+m/g;

test('controls, separators, directions, zero widths, tags and halves of characters are written as their numbers', () => {
  assert.equal(shownText('\u001b[2J\r\nx'), '\\u{1b}[2J\\u{d}\\u{a}x');
  assert.equal(shownText('\u009b31m\u0085'), '\\u{9b}31m\\u{85}');
  assert.equal(shownText('abc\u202egnp'), 'abc\\u{202e}gnp');
  assert.equal(
    shownText('\u2028\u2029\u200b\u2060\ufeff\u00ad'),
    '\\u{2028}\\u{2029}\\u{200b}\\u{2060}\\u{feff}\\u{ad}',
  );
  assert.equal(shownText('a\u{e0041}\u3164\ud800'), 'a\\u{e0041}\\u{3164}\\u{d800}');
});

test('what people write in their scripts stays as it is', () => {
  for (const text of [
    'Ærøskøbing',
    'Łódź',
    'می‌خواهم',
    '山田太郎',
    'กำลัง',
    'a\u0301\u0323',
    '👩‍👩‍👧',
    '❤️',
    'क्‍ष',
    'C:\\dir',
  ]) {
    assert.equal(shownText(text), text);
    assert.equal(unseenCharacter(text), undefined, text);
  }
});

test('a joiner where nothing is joined, and a flood of marks, are seen', () => {
  assert.equal(unseenCharacter('ad\u200da'), 'U+200D');
  assert.equal(shownText('ad\u200da'), 'ad\\u{200d}a');
  assert.equal(unseenCharacter(`a${'\u0301'.repeat(40)}`), 'U+0301');
  assert.equal(shownText(`a${'\u0301'.repeat(40)}b`), `a${'\u0301'.repeat(6)}[+34 marks]b`);
});

test('the character that is refused is named; line breaks only where lines are typed', () => {
  assert.equal(unseenCharacter('x\u202ey'), 'U+202E');
  assert.equal(unseenCharacter('x\ny'), 'U+000A');
  assert.equal(unseenCharacter('x\ny', { lines: true }), undefined);
});

test('whatever comes, nothing that a terminal obeys comes out, and a line stays one', () => {
  const nasty = fc.string({
    unit: fc.oneof(
      fc.constantFrom(
        '\u001b',
        '\r',
        '\n',
        '\u202e',
        '\u009b',
        '\u2028',
        '\u200b',
        '\u0301',
        '[31m',
        'm',
        '\ud83d',
        '\u200d',
      ),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    maxLength: 60,
  });
  fc.assert(
    fc.property(nasty, (text) => {
      assert.doesNotMatch(shownText(text), obeyed);
      assert.doesNotMatch(shownLine(text).replaceAll(colour, ''), obeyed);
      assert.doesNotMatch(shownLines(text).replaceAll(colour, '').replaceAll('\n', ''), obeyed);
      assert.equal(shownText(shownText(text)), shownText(text));
      assert.doesNotMatch(shownJson({ [text]: [text] }), obeyed);
      assert.deepEqual(JSON.parse(shownJson({ text: [text] })), { text: [text] });
    }),
    { numRuns: 2000 },
  );
});

test('texts anywhere in a value are escaped, names of members too, and the rest stays', () => {
  assert.deepEqual(shownValue({ 'a\n': ['\u001b', 1, null, true], b: { c: '\u202e' } }), {
    'a\\u{a}': ['\\u{1b}', 1, null, true],
    b: { c: '\\u{202e}' },
  });
});
