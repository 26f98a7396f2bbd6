import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertGoodPassword } from './password-rules.ts';

const words = ['grace', 'Grace Hopper', 'bramble'];

test('what is short, repeated, a sequence, common or a name is refused', () => {
  for (const password of [
    'elevenchars',
    'a'.repeat(201),
    'ababababababab',
    'abcdefghijklmno',
    '98765432109876',
    'qwertyuiopas',
    'password1234',
    'Password1234',
    'correct horse battery staple',
    // Of the 4,000 most frequent: the first, one of the middle, and one near the end.
    '123qweasdzxc',
    'Times of India',
    'vlad31122004',
    'brambleBRAMBLE',
    'grace hopper!',
    'bramble-2026',
  ]) {
    assert.throws(() => assertGoodPassword(password, words), { code: 'ERR_PASSWORD_RULES' }, password);
  }
});

test('anything else is taken, whatever it is composed of', () => {
  for (const password of [
    'seven wet otters',
    'zwölf große Würfel',
    '七つの濡れたカワウソが泳ぐ',
    `${'x'.repeat(58)}abcdef`,
    'bramble is not all of it',
  ]) {
    assertGoodPassword(password, words);
  }
});
