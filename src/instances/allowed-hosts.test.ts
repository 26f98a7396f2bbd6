import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isBrambleError } from '../base/errors.ts';
import { allowedHosts, tunnelTargetOf } from './allowed-hosts.ts';

const patterns = ['intranet.example:443', '*.corp.example:*', '10.1.2.0/24:8080', '[fd00::]/8:443'];
const allows = (authority: string) => {
  const target = tunnelTargetOf(authority);
  return target !== null && allowedHosts(patterns).covers(target);
};

test('allows what a pattern covers, in any case', () => {
  for (const authority of [
    'intranet.example:443',
    'INTRANET.example:443',
    'intranet.example.:443',
    'a.corp.example:1',
    'a.b.corp.example:65535',
    '10.1.2.200:8080',
    '[fd12::1]:443',
  ]) {
    assert.ok(allows(authority), authority);
  }
});

test('allows nothing else, however it is written', () => {
  for (const authority of [
    'intranet.example:444',
    'corp.example:443',
    'evilcorp.example:443',
    'a.corp.example.evil:443',
    '10.1.3.1:8080',
    '0x0a010201:8080',
    '167838209:8080',
    '10.1.513:8080',
    '::ffff:10.1.2.1:8080',
    '[::ffff:10.1.2.1]:8080',
    '[::10.1.2.1]:8080',
    '[64:ff9b::10.1.2.1]:8080',
    'intranet.example',
    'intranet.example:0443',
    'intranet.example:0',
    'intranet.example:65979',
    'x@intranet.example:443',
    'intranet.example:443/x',
    '[intranet.example]:443',
    '',
  ]) {
    assert.ok(!allows(authority), authority);
  }
});

test('allows nothing when nothing is listed', () => {
  fc.assert(
    fc.property(fc.webAuthority({ withPort: true }), (authority) => {
      const target = tunnelTargetOf(authority);
      return target === null || !allowedHosts([]).covers(target);
    }),
  );
});

test('names the pattern that is none', () => {
  for (const pattern of [
    'intranet',
    'a:b',
    '*:*',
    'a.*.b:1',
    '10.0.0.0/33:1',
    '10.0.0.0/8/8:1',
    'a/8:1',
    ':1',
    'a:70000',
  ]) {
    assert.throws(
      () => allowedHosts([pattern]),
      (error) => isBrambleError(error, 'ERR_TUNNEL_HOST_PATTERN'),
      pattern,
    );
  }
});
