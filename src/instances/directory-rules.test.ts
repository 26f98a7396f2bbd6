import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { accountPlacement } from '../accounts/account-placement.ts';
import { accountNameOf, plainNameOf } from '../base/account-name.ts';
import { isBrambleError } from '../base/errors.ts';
import { allowedHostOf } from './allowed-hosts.ts';

test('two spellings of an account name are one name', () => {
  assert.equal(accountNameOf(' Ada@Example.ORG '), 'ada@example.org');
  assert.equal(accountNameOf('jose\u0301'), accountNameOf('JOS\u00c9'));
});

test('a name that cannot stand in an address or on a screen is refused', () => {
  for (const name of ['', '  ', 'a b', 'a/b', 'a\\b', 'a\u0000b', 'x'.repeat(201)]) {
    assert.throws(
      () => accountNameOf(name),
      (error) => isBrambleError(error, 'ERR_ACCOUNT_NAME'),
    );
  }
});

test('a name too long to be one is refused before it is composed: composing a megabyte of marks takes a minute', (t) => {
  const normalize = t.mock.method(String.prototype, 'normalize');
  for (const nameOf of [accountNameOf, (text: string) => plainNameOf('a group', text)]) {
    assert.throws(() => nameOf(`a${'\u0316\u0300'.repeat(400)}`), isBrambleError);
    assert.equal(normalize.mock.callCount(), 0);
  }
  assert.equal(accountNameOf('\u1112\u1161\u11ab'.repeat(200)), '\ud55c'.repeat(200));
  assert.equal(normalize.mock.callCount(), 1);
});

test('a stored account name is its own stored form', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      let name: string;
      try {
        name = accountNameOf(text);
      } catch (error) {
        return isBrambleError(error, 'ERR_ACCOUNT_NAME');
      }
      return accountNameOf(name) === name;
    }),
  );
});

test('placing accounts one by one never lets one instance run ahead of another that had as few', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(
        fc.record({ id: fc.uuid(), name: fc.uuid(), accountCount: fc.nat(20), onTrial: fc.constant(false) }),
        {
          minLength: 1,
          maxLength: 6,
          selector: (target) => target.name,
        },
      ),
      fc.nat(60),
      (targets, count) => {
        const place = accountPlacement(targets);
        const counts = new Map(targets.map((target) => [target.id, target.accountCount]));
        for (let i = 0; i < count; i += 1) {
          const least = Math.min(...counts.values());
          const id = place() ?? '';
          if (counts.get(id) !== least) return false;
          counts.set(id, least + 1);
        }
        return true;
      },
    ),
  );
});

test('a named instance is taken whatever it holds, and an unknown one is not replaced by another', () => {
  const place = accountPlacement([
    { id: '1', name: 'full', accountCount: 1000, onTrial: false },
    { id: '2', name: 'empty', accountCount: 0, onTrial: false },
  ]);
  assert.equal(place('full'), '1');
  assert.equal(place('elsewhere'), undefined);
  assert.equal(place(), '2');
  assert.equal(accountPlacement([])(), undefined);
});

test('an instance on trial takes an account only by name', () => {
  const place = accountPlacement([
    { id: '1', name: 'proven', accountCount: 1000, onTrial: false },
    { id: '2', name: 'trial', accountCount: 0, onTrial: true },
  ]);
  assert.equal(place(), '1');
  assert.equal(place('trial'), '2');
});

test('what is no pattern of internal hosts is refused, and a network is one', () => {
  assert.equal(allowedHostOf(' 10.1.2.0/24:8080'), '10.1.2.0/24:8080');
  assert.equal(allowedHostOf('MAIL.example.org:993'), 'mail.example.org:993');
  for (const text of ['*', '*:443', 'host', 'host:0', 'host:70000', 'a..:x', 'http://a:1']) {
    assert.throws(
      () => allowedHostOf(text),
      (error) => isBrambleError(error, 'ERR_ALLOWED_HOST'),
      text,
    );
  }
});
