import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressRangeShape, addressRanges } from './address-ranges.ts';

test('an address is in a range or is not, also as IPv4 inside IPv6', () => {
  const ranges = addressRanges(['192.0.2.7', '10.1.0.0/16', '2001:db8:1::/48', '::1']);
  for (const inside of ['192.0.2.7', '::ffff:192.0.2.7', '10.1.255.255', '::ffff:10.1.0.0', '2001:db8:1::5', '::1']) {
    assert.ok(ranges.include(inside), inside);
  }
  for (const outside of ['192.0.2.8', '10.2.0.0', '2001:db8:2::5', '::2', '::ffff:10.2.0.0', '', 'localhost']) {
    assert.ok(!ranges.include(outside), outside);
  }
  assert.ok(!addressRanges([]).include('127.0.0.1'));
});

test('what is neither an address nor a range is refused', () => {
  for (const range of ['10.0.0.0/33', '10.0.0', 'balancer.example.org', '10.0.0.1/', '::/129', '10.0.0.1/8/8', '']) {
    assert.ok(!addressRangeShape.safeParse(range).success, range);
  }
});
