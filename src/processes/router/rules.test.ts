import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSparseLog } from '../../base/sparse-log.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { Admission, suspendAfter } from './admission.ts';
import { requestHeaders } from './forwarded-headers.ts';
import { type Newcomer, Newcomers } from './newcomers.ts';
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
      if (registeredPlatforms.addressOf(url).rule.purpose === 'none') return;
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
        forged.filter((key) => key !== 'x-a'),
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

const holder = { host: 'host-a', bootId: 'boot-a' };
const other = { host: 'host-a', bootId: 'boot-b' };
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
        admission.countRival('S00000001', holder, nowMs);
        expected ||= times.filter((at) => nowMs - at < 60_000).length >= suspendAfter;
        assert.equal(admission.isSuspended('S00000001', other), expected);
      }
    }),
  );
});

test('a suspension survives a restart, and a clearing counts once', () => {
  const admission = new Admission();
  const rivals = (at: number) => {
    for (let rival = 0; rival < suspendAfter; rival += 1) admission.countRival('S00000001', holder, at);
  };
  rivals(0);
  assert.ok(new Admission(admission.snapshot()).isSuspended('S00000001', other));
  const cleared = [{ identifier: 'S00000001', at: '2026-01-01T00:00:00Z' }];
  assert.ok(admission.take({ ...noList, number: 1, cleared }));
  assert.ok(!admission.isSuspended('S00000001', other));
  rivals(1);
  assert.ok(admission.take({ ...noList, number: 2, cleared }));
  assert.ok(admission.isSuspended('S00000001', other), 'the same clearing again');
});

test('a suspension never keeps out the holder that was linked when it began', () => {
  let admission = new Admission();
  for (let rival = 0; rival < suspendAfter; rival += 1) admission.countRival('S00000001', holder, rival);
  for (const restart of [false, true]) {
    if (restart) admission = new Admission(admission.snapshot());
    assert.equal(admission.isSuspended('S00000001', holder), false);
    assert.equal(admission.isSuspended('S00000001', other), true);
  }
  // As a router of 1.1.0 kept it: nobody knows who held it.
  const { suspended } = admission.snapshot();
  const kept = new Admission({ list: null, suspended: suspended.map(({ identifier, at }) => ({ identifier, at })) });
  assert.equal(kept.isSuspended('S00000001', holder), true);
});

test('newcomers at the SRP port are bounded, the oldest go first, and nobody fills the room of others', () => {
  const limits = { maxUnproven: 3, maxProven: 6, maxPerIdentifier: 2 };
  const step = fc.tuple(fc.constantFrom('enter', 'prove', 'leave'), fc.nat(40), fc.constantFrom('S1', 'S2', 'S3'));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const newcomers = new Newcomers(limits);
      const present: { newcomer: Newcomer | null; order: number }[] = [];
      let entered = 0;
      for (const [deed, which, identifier] of steps) {
        const entry = present[which % (present.length || 1)];
        if (deed === 'enter') {
          const added = { newcomer: null as Newcomer | null, order: entered++ };
          present.push(added);
          added.newcomer = newcomers.enter(() => {
            const rest = present.filter(
              (each) => each !== added && each.newcomer?.identifier === added.newcomer?.identifier,
            );
            assert.ok(
              rest.some(({ order }) => order > added.order),
              'never the newest',
            );
            present.splice(present.indexOf(added), 1);
          });
        } else if (entry?.newcomer && deed === 'prove' && entry.newcomer.identifier === null) {
          newcomers.prove(entry.newcomer, identifier);
        } else if (entry?.newcomer && deed === 'leave') {
          newcomers.leave(entry.newcomer);
          present.splice(present.indexOf(entry), 1);
        }
        assert.ok(newcomers.unproven <= limits.maxUnproven && newcomers.proven <= limits.maxProven);
        assert.equal(newcomers.unproven + newcomers.proven, present.length);
        for (const name of ['S1', 'S2', 'S3']) {
          assert.ok(present.filter(({ newcomer }) => newcomer?.identifier === name).length <= limits.maxPerIdentifier);
        }
      }
    }),
  );
});

test('a log line that others can cause comes at once, and then once a minute with its number', () => {
  let nowMs = 0;
  const log = createSparseLog({ now: () => nowMs });
  const lines: string[] = [];
  for (; nowMs < 180_000; nowMs += 1000) {
    log.say('a', (times) => lines.push(`a ${times}`));
    if (nowMs === 5000) log.say('b', (times) => lines.push(`b ${times}`));
  }
  assert.deepEqual(lines, ['a 1', 'b 1', 'a 60', 'a 60']);
});

test('a list of a lower or equal number never replaces one', () => {
  const revoked = [{ serial: '0AFF', identifier: 'S00000001', expiresAt: '2027-01-01T00:00:00Z' }];
  const admission = new Admission();
  assert.ok(admission.take({ ...noList, number: 7, revoked }));
  for (const number of [0, 6, 7]) assert.ok(!admission.take({ ...noList, number }));
  assert.ok(admission.isRevoked('aff'));
});
