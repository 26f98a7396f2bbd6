import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPlatforms } from '../../src/platforms/port.ts';
import { registeredPlatforms } from '../../src/platforms/registered/platforms.ts';
import { json } from './platform.ts';

test('an address that one protocol fails to read belongs to another, or to none', () => {
  const failing = { ...json.protocol, addressOf: (url: string) => void decodeURIComponent(url) };
  const platforms = createPlatforms([{ ...json, protocol: failing }, ...registeredPlatforms.all]);
  assert.equal(platforms.addressOf('/%').rule.kind, 'other');
  const activate = registeredPlatforms.addressOf('/activate');
  assert.notEqual(activate.rule.kind, 'other');
  assert.deepEqual(platforms.addressOf('/activate'), activate);
});

test('a platform without a name of its own, or whose name cannot be stored, is refused at the start', () => {
  assert.throws(() => createPlatforms([...registeredPlatforms.all, { ...json, name: 'apple' }]), /named "apple"/);
  for (const name of ['', 'Json', 'j son', '1st', 'j'.repeat(33)]) {
    assert.throws(() => createPlatforms([{ ...json, name }]), TypeError, name);
  }
  assert.equal(createPlatforms([json]).named('json'), json);
});
