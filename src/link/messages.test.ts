import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { routerRegistrationShape } from './messages.ts';

const registration = {
  ...{ name: 'router-1', host: 'edge.example', bootId: 'b', processId: 1, release: '1.1.0', linkVersions: [1] },
  ...{ features: ['connection-service-sharing'], loopbackUrl: 'http://127.0.0.1:41234', tunnelsOpen: 0 },
  links: [{ identifier: 'S00000001', since: '2026-11-25T10:00:00.000Z', reconnects: 2 }],
};
const takes = (change: object) => routerRegistrationShape.safeParse({ ...registration, ...change }).success;

test('a registration as routers send it is taken', () => {
  assert.ok(takes({}));
  assert.ok(takes({ loopbackUrl: 'http://[::1]:1' }));
  assert.ok(takes({ links: [] }));
});

test('an address that is not a port of the loopback is not', () => {
  for (const loopbackUrl of [
    'http://127.0.0.1',
    'http://127.0.0.1:0',
    'http://127.0.0.1:70000',
    'http://127.0.0.1:80/',
    'http://127.0.0.1:80@evil.example',
    'http://127.0.0.1.evil.example:80',
    'http://127.0.0.2:80',
    'http://localhost:80',
    'https://127.0.0.1:80',
    'http://10.0.0.1:80',
    'file:///etc/passwd',
    '',
  ]) {
    assert.ok(!takes({ loopbackUrl }), loopbackUrl);
  }
  fc.assert(fc.property(fc.webUrl(), (loopbackUrl) => !takes({ loopbackUrl })));
});

test('nothing in it is without a bound, and no text can deceive who reads it', () => {
  const many = (count: number, value: unknown) => Array.from({ length: count }, () => value);
  for (const change of [
    { features: many(257, 'a') },
    { features: ['a b'] },
    { linkVersions: many(17, 1) },
    { linkVersions: [2 ** 40] },
    { links: many(4097, registration.links[0]) },
    { links: [{ ...registration.links[0], since: 'x'.repeat(1000) }] },
    { links: [{ ...registration.links[0], reconnects: 2 ** 40 }] },
    { processId: 2 ** 40 },
    { tunnelsOpen: 2 ** 40 },
    { release: 'next' },
    { name: 'a\u001b[2J' },
    { host: 'a\r\nb' },
    { host: 'a\u202eb' },
    { bootId: '' },
  ]) {
    assert.ok(!takes(change), JSON.stringify(change).slice(0, 60));
  }
});
