import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Admission, suspendAfter } from './admission.ts';
import { deviceAddressOf } from './device-address.ts';
import { requestHeaders } from './forwarded-headers.ts';
import { RouteCache } from './route-cache.ts';

test('no address that is routed can be read as a control path', () => {
  const piece = fc.constantFrom(
    '/',
    '.',
    '..',
    'mdm',
    'scep',
    'activate',
    '.bramble',
    'route',
    '%2e',
    '%2F',
    '\\',
    '?',
    'a',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const url = `/${pieces.join('')}`;
      if (deviceAddressOf(url).kind === 'unknown') return;
      const resolved = new URL(url, 'https://x').pathname;
      assert.ok(/^\/(mdm|scep|activate)(\/|$)/.test(resolved), url);
    }),
    { numRuns: 2000 },
  );
});

test('no header of a device is taken for one of the router', () => {
  const name = fc.oneof(
    fc.constantFrom('client-cert', 'client-cert-chain', 'x-forwarded-for', 'bramble-owner', 'te', 'host', 'x-a'),
    fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 1 }).map((text) => `bramble-${text}`),
  );
  fc.assert(
    fc.property(fc.dictionary(name, fc.constant('forged')), (headers) => {
      const sent = requestHeaders('PUT', '/mdm/x', headers, { clientCertificate: null, remoteAddress: '::1' }, 0);
      const forged = Object.keys(sent).filter((key) => sent[key] === 'forged');
      assert.deepEqual(
        forged.filter((key) => key !== 'x-a' && key !== ':authority'),
        [],
      );
      assert.equal(sent['bramble-remote-address'], '::1');
    }),
  );
});

test('the cache never outgrows its capacity, forgets the least used first, and ends entries in time', () => {
  let nowMs = 0;
  const cache = new RouteCache<number>(2, () => nowMs);
  cache.set('a', 1, 100);
  cache.set('b', 2, 100);
  assert.equal(cache.get('a'), 1);
  cache.set('c', 3, 200);
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c'), cache.size], [1, undefined, 3, 2]);
  nowMs = 50;
  assert.equal(cache.get('a', 40), undefined, 'too old for who asks');
  assert.equal(cache.get('a'), 1);
  nowMs = 100;
  assert.deepEqual([cache.get('a'), cache.get('c')], [undefined, 3]);
});

const noList = { number: 0, revoked: [], cleared: [] };

test('five rivals within a minute suspend, four or slower ones do not', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 20 }), (gapsMs) => {
      const admission = new Admission();
      const times: number[] = [];
      let nowMs = 0;
      let expected = false;
      for (const gapMs of gapsMs) {
        nowMs += gapMs;
        times.push(nowMs);
        admission.countRival('S00000001', nowMs);
        expected ||= times.filter((at) => nowMs - at < 60_000).length >= suspendAfter;
        assert.equal(admission.isSuspended('S00000001'), expected);
      }
    }),
  );
});

test('a suspension survives a restart, and a clearing counts once', () => {
  const admission = new Admission();
  const rivals = (at: number) => {
    for (let rival = 0; rival < suspendAfter; rival += 1) admission.countRival('S00000001', at);
  };
  rivals(0);
  assert.ok(new Admission(admission.snapshot()).isSuspended('S00000001'));
  const cleared = [{ identifier: 'S00000001', at: '2026-01-01T00:00:00Z' }];
  assert.ok(admission.take({ ...noList, number: 1, cleared }));
  assert.ok(!admission.isSuspended('S00000001'));
  rivals(1);
  assert.ok(admission.take({ ...noList, number: 2, cleared }));
  assert.ok(admission.isSuspended('S00000001'), 'the same clearing again');
});

test('a list of a lower or equal number never replaces one', () => {
  const revoked = [{ serial: '0AFF', identifier: 'S00000001', expiresAt: '2027-01-01T00:00:00Z' }];
  const admission = new Admission();
  assert.ok(admission.take({ ...noList, number: 7, revoked }));
  for (const number of [0, 6, 7]) assert.ok(!admission.take({ ...noList, number }));
  assert.ok(admission.isRevoked('aff'));
});
