import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBrambleError } from '../../base/errors.ts';
import { createPasswords, senderOf } from './password.ts';

const stranger = (network: string) => senderOf({ network, browser: null });

test('however many strangers wait to be looked at, a known browser has its turn next', {
  timeout: 60_000,
}, async () => {
  const passwords = createPasswords();
  const ended: string[] = [];
  const strangers = Array.from({ length: 40 }, (_, index) => `192.0.2.${index}`).flatMap((network) =>
    Array.from({ length: 8 }, () =>
      passwords
        .matches('guess', async () => null, stranger(network))
        .then(
          () => ended.push('stranger'),
          (error) => ended.push(isBrambleError(error, 'ERR_BUSY') ? 'refused' : 'failed'),
        ),
    ),
  );
  const known = senderOf({ network: '192.0.2.1', browser: Buffer.alloc(32) });
  const stored = await createPasswords().digest('seven wet otters', known);
  assert.equal(await passwords.matches('seven wet otters', async () => stored, known), true);
  assert.ok(ended.filter((one) => one === 'stranger').length <= 4);
  assert.equal(ended.filter((one) => one === 'refused').length, 320 - 128);
  assert.equal(await passwords.matches('seven dry otters', async () => stored, known), false);
  assert.ok(strangers.length === 320 && !ended.includes('failed'));
});
