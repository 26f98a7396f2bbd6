import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseClientCert, serializeClientCert } from './client-cert-header.ts';

test('a certificate reads back from its header', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), (der) => {
      assert.deepEqual(parseClientCert(serializeClientCert(der)), Buffer.from(der));
    }),
  );
});

test('anything but one byte sequence is refused', () => {
  for (const value of [
    '',
    ':',
    '::',
    'AQI=',
    ':AQI:',
    ':AQI=:;a',
    ':AQI=:, :AQI=:',
    ':A QI=:',
    `:${'A'.repeat(20_000)}:`,
  ]) {
    assert.throws(() => parseClientCert(value), { code: 'ERR_CLIENT_CERT_HEADER' });
  }
});
