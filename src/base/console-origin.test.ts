/** Where a browser is sent to find the console. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { originAt } from './console-origin.ts';

test('a browser is sent to a name of its own, to localhost where it listens everywhere, or else to the address', () => {
  const at = (address: string, names: string[] = []) => originAt({ scheme: 'https', names }, { address, port: 3180 });
  for (const address of ['127.0.0.1', '::1', '0.0.0.0', '::']) assert.equal(at(address), 'https://localhost:3180');
  assert.equal(at('0.0.0.0', ['bramble.example.org']), 'https://bramble.example.org:3180');
  assert.equal(at('192.0.2.7'), 'https://192.0.2.7:3180');
  assert.equal(at('2001:db8::1'), 'https://[2001:db8::1]:3180');
});
