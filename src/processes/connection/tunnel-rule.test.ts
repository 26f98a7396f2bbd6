import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allowedHosts } from '../../instances/allowed-hosts.ts';
import { ipNetworkOf } from '../../instances/ip-network.ts';
import { reservedRangeOf } from './reserved-addresses.ts';
import { refusalOfAddress, refusalOfTarget, type TunnelRule } from './tunnel-rule.ts';

const database = { address: '10.0.0.5', port: 5432, what: 'the database of the domain' };
const loopbackPort = { address: '127.0.0.1', port: 40000, what: 'a component of the domain' };
const ruleOf = (...patterns: string[]): TunnelRule => ({
  hosts: allowedHosts(patterns),
  own: [database, loopbackPort],
});
const named = (port: number) => ({ host: 'intranet.example', port });
const codeOf = (address: string, port: number, ...patterns: string[]) =>
  refusalOfAddress(named(port), address, ruleOf(...patterns))?.code ?? null;
const reserved = 'ERR_TUNNEL_ADDRESS_RESERVED';

const special = [
  ...['127.0.0.1', '127.9.9.9', '0.0.0.0', '169.254.1.1', '169.254.169.254', '224.0.0.1', '255.255.255.255'],
  ...['168.63.129.16', '100.100.100.200', '::', '::1', 'fe80::1', 'ff02::1', 'fd00:ec2::254', 'fd20:ce::254'],
  ...['::ffff:10.1.2.3', '::ffff:127.0.0.1', '::10.1.2.3', '64:ff9b::10.1.2.3', '64:ff9b:1::7f00:1', '2002:a01:203::1'],
  ...['2001:0:1::1', 'fe80::1%eth0'],
];

test('a listed name opens no reserved address, nor does a network that is not of that kind', () => {
  const wide = ['intranet.example:*', '*.example:*', '0.0.0.0/0:*', '[::]/0:*', '10.0.0.0/8:*'];
  for (const address of special) assert.equal(codeOf(address, 443, ...wide), reserved, address);
  for (const address of ['10.1.2.3', '192.168.0.1', '203.0.113.7', 'fd12::1', '2001:db8::1']) {
    assert.equal(codeOf(address, 443, ...wide), null, address);
  }
});

test('a reserved address is open where an address or network of its kind is listed, at that port', () => {
  for (const address of special.filter((each) => !each.includes('%'))) {
    const pattern = address.includes(':') ? `[${address}]:443` : `${address}:443`;
    assert.equal(codeOf(address, 443, pattern), null, pattern);
    assert.equal(codeOf(address, 444, pattern), reserved, pattern);
  }
  assert.equal(codeOf('127.0.0.1', 443, '127.0.0.0/8:443'), null);
  assert.equal(codeOf('169.254.169.254', 443, '169.254.0.0/16:*'), reserved, 'metadata is not any link-local address');
});

test('what is the domain itself is open where its exact address and port are listed, and in no other way', () => {
  for (const [address, port] of [
    ['10.0.0.5', 5432],
    ['127.0.0.1', 40000],
  ] as const) {
    for (const pattern of [`${address}:*`, `${address}/31:${port}`, `0.0.0.0/0:${port}`, `intranet.example:${port}`]) {
      assert.equal(codeOf(address, port, pattern), reserved, pattern);
    }
    assert.equal(codeOf(address, port, `${address}:${port}`), null);
  }
  assert.equal(codeOf('10.0.0.5', 5433, 'intranet.example:*'), null);
});

test('what is the domain itself is refused by its name while nobody knows its address', () => {
  const own = [{ ...database, address: 'database.example' }];
  const target = { host: 'database.example', port: 5432 };
  const refused = (port: number) =>
    refusalOfAddress({ ...target, port }, '10.0.0.9', { hosts: allowedHosts(['*.example:*']), own });
  assert.match(refused(5432)?.reason ?? '', /the database of the domain/);
  assert.equal(refused(443), null);
});

test('the refusal says which rule refused', () => {
  const rule = ruleOf('intranet.example:*');
  assert.match(
    refusalOfAddress(named(1), '127.0.0.1', rule)?.reason ?? '',
    /intranet\.example:1 .*127\.0\.0\.1.*loopback/,
  );
  assert.match(refusalOfAddress(named(5432), '10.0.0.5', rule)?.reason ?? '', /the database of the domain/);
  assert.match(refusalOfTarget({ host: 'fd12::1', port: 2 }, rule)?.reason ?? '', /\[fd12::1\]:2 is not on the list/);
});

test('no way of writing an IPv4 address in IPv6 goes around what is listed or reserved', () => {
  const byte = fc.integer({ min: 0, max: 255 });
  const form = fc.constantFrom('::ffff:', '::', '64:ff9b::', '64:ff9b:1::');
  fc.assert(
    fc.property(fc.tuple(byte, byte, byte, byte), form, (bytes, prefix) => {
      const plain = bytes.join('.');
      const carried = `${prefix}${plain}`;
      const rule = ruleOf(`${plain}:443`, '0.0.0.0/0:443');
      assert.notEqual(refusalOfTarget({ host: carried, port: 443 }, rule), null);
      assert.notEqual(refusalOfAddress(named(443), carried, rule), null);
      const network = ipNetworkOf(carried);
      assert.ok(network && reservedRangeOf(network));
    }),
  );
});

test('an address is the same however it is written', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const normal = new URL(`http://[${address}]`).hostname.slice(1, -1);
      assert.deepEqual(ipNetworkOf(address), ipNetworkOf(normal));
      assert.deepEqual(ipNetworkOf(address.toUpperCase()), ipNetworkOf(normal));
    }),
  );
});
