import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNodeVersion } from './node-version.ts';

test('a Node.js that cannot run it is refused, and the one that runs this is not', () => {
  for (const version of ['20.20.2', '23.9.0', '24.6.1']) {
    assert.throws(() => assertNodeVersion(version), {
      code: 'ERR_NODE_TOO_OLD',
      message: /20\.20\.2|23\.9\.0|24\.6\.1/,
    });
  }
  for (const version of ['24.7.0', '25.0.0', '100.1.0', process.versions.node]) assertNodeVersion(version);
  assert.throws(() => assertNodeVersion('24.7.0', false), { code: 'ERR_NODE_TOO_OLD', message: /OpenSSL/ });
});
