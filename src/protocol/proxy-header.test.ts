import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { maxHeaderBytes, readProxyHeader } from './proxy-header.ts';
import { headerOf, localHeader, proxyHeader } from './proxy-header-fixture.ts';

const ipv4 = fc.tuple(...Array.from({ length: 4 }, () => fc.nat(255))).map((bytes) => bytes.join('.'));
const fields = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const following = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));

test('a whole header tells the client and its own length, whatever fields it has and whatever follows it', () => {
  fc.assert(
    fc.property(ipv4, fields, following, (source, tlv, rest) => {
      const header = proxyHeader(source, tlv);
      assert.deepEqual(readProxyHeader(Buffer.concat([header, rest])), {
        ...{ kind: 'whole', sizeBytes: header.length, source },
      });
    }),
  );
});

test('every beginning of a header is incomplete', () => {
  for (const header of [
    proxyHeader('192.0.2.7', Buffer.alloc(20)),
    proxyHeader('2001:db8:0:0:0:0:0:1'),
    localHeader(Buffer.alloc(12)),
  ]) {
    for (let length = 0; length < header.length; length += 1) {
      assert.deepEqual(readProxyHeader(header.subarray(0, length)), { kind: 'incomplete' }, `${length} bytes`);
    }
  }
});

test('an IPv6 client is told in the usual form, and an IPv4 client inside IPv6 as IPv4', () => {
  const sourceOf = (bytes: Buffer) => {
    const header = readProxyHeader(bytes);
    return header.kind === 'whole' ? header.source : header;
  };
  assert.equal(sourceOf(proxyHeader('2001:db8:0:0:0:0:0:1')), '2001:db8::1');
  assert.equal(sourceOf(proxyHeader('0:0:0:0:0:ffff:c000:207')), '192.0.2.7');
});

test('a balancer that speaks for itself names nobody, even if addresses come with it', () => {
  const header = localHeader(proxyHeader('192.0.2.7').subarray(16));
  assert.deepEqual(readProxyHeader(header), { kind: 'whole', sizeBytes: header.length, source: null });
});

test('what is no header of version 2 is refused at its first wrong byte', () => {
  const addresses = proxyHeader('192.0.2.7').subarray(16);
  const cases: [Buffer, RegExp][] = [
    [Buffer.from('\x16\x03\x01'), /does not begin with one/],
    [Buffer.from('P'), /version 1/],
    [Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 5 443\r\n'), /version 1/],
    [Buffer.from('\r\n\r\n\0\r\nQUIX'), /does not begin with one/],
    [headerOf(0x11, 0x11, addresses).subarray(0, 13), /0x11, which is not of version 2/],
    [headerOf(0x22, 0x11, addresses), /0x22/],
    // UNSPEC, UDP, Unix, and a family that there is not.
    ...[0x00, 0x12, 0x31, 0x41].map((family): [Buffer, RegExp] => [
      headerOf(0x21, family, addresses),
      /no TCP address/,
    ]),
    [headerOf(0x21, 0x11, addresses.subarray(1)), /too short/],
    [headerOf(0x21, 0x21, addresses), /too short/],
    [headerOf(0x21, 0x11, Buffer.alloc(maxHeaderBytes - 15)).subarray(0, 16), /4097 bytes/],
    [headerOf(0x20, 0x00, Buffer.alloc(0xffff)).subarray(0, 16), /65551 bytes/],
  ];
  for (const [bytes, reason] of cases) {
    const header = readProxyHeader(bytes);
    assert.equal(header.kind, 'refused', bytes.toString('latin1'));
    assert.match(header.kind === 'refused' ? header.reason : '', reason);
  }
});
