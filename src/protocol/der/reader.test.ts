import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  childrenOf,
  contentOf,
  type DerElement,
  derTag,
  type Encoding,
  octetsOf,
  oidOf,
  readWhole,
  timeOf,
} from './reader.ts';
import { derElement, derOctets, derOid, derSequence, derTime, isDer } from './writer.ts';

const malformed = { code: 'ERR_DER_MALFORMED' };
const openBrackets = (levels: number, inside: Uint8Array) =>
  Buffer.concat([
    Buffer.concat(Array.from({ length: levels }, () => Uint8Array.of(0x30, 0x80))),
    inside,
    Buffer.alloc(2 * levels),
  ]);
const empties = (count: number) => Buffer.concat(Array.from({ length: count }, () => Uint8Array.of(0x04, 0)));

/** Visits everything, as a reader of a structure would that looks at all of it. */
function walk(element: DerElement): number {
  return (element.tag & 0x20) === 0 ? 1 : childrenOf(element).reduce((sum, child) => sum + walk(child), 1);
}
const visit = (bytes: Uint8Array, encoding: Encoding) => walk(readWhole(bytes, derTag.sequence, encoding));

test('levels of indefinite length are read once, however many lie around the same elements', () => {
  // Read anew at every level, 22 levels around 2,000 elements would use up the budget of 4,096 many times over.
  assert.equal(visit(openBrackets(22, empties(2000)), 'ber'), 2022);
  assert.throws(() => visit(openBrackets(22, empties(495_000)), 'ber'), malformed);
});

test('depth and number of elements are bounded for a whole message, in either encoding', () => {
  const nested = (levels: number) =>
    Array.from({ length: levels }).reduce<Buffer>((inside) => derSequence(inside), Buffer.alloc(0));
  assert.equal(visit(nested(32), 'der'), 32);
  for (const encoding of ['der', 'ber'] as const) {
    assert.throws(() => visit(nested(40), encoding), malformed);
    assert.throws(() => visit(derSequence(empties(5000)), encoding), malformed);
    // Spread over many places, none of which holds many.
    const spread = derSequence(...Array.from({ length: 100 }, () => derSequence(empties(100))));
    assert.throws(() => visit(spread, encoding), malformed);
  }
  assert.throws(() => visit(openBrackets(2000, Buffer.alloc(0)), 'ber'), malformed);
});

test('DER has one form of each length; BER has more', () => {
  const forms: [what: string, bytes: number[], ber: boolean][] = [
    ['indefinite', [0x30, 0x80, 0x04, 0x00, 0x00, 0x00], true],
    ['long form of a short length', [0x30, 0x81, 0x02, 0x04, 0x00], true],
    ['leading zero', [0x30, 0x82, 0x00, 0x02, 0x04, 0x00], true],
    ['inside, long form', [0x30, 0x03, 0x04, 0x81, 0x00], true],
    ['five octets', [0x30, 0x85, 0x00, 0x00, 0x00, 0x00, 0x02, 0x04, 0x00], false],
    ['primitive and indefinite', [0x30, 0x84, 0x00, 0x00, 0x00, 0x04, 0x04, 0x80, 0x00, 0x00], false],
    ['an end where none can be', [0x30, 0x02, 0x00, 0x00], false],
    ['a high tag number', [0x30, 0x03, 0x1f, 0x20, 0x00], false],
    ['cut off', [0x30, 0x80, 0x04, 0x00, 0x00], false],
    ['longer than its container', [0x30, 0x02, 0x04, 0x01], false],
    ['something behind it', [0x30, 0x00, 0x00], false],
  ];
  for (const [what, bytes, ber] of forms) {
    assert.throws(() => visit(Uint8Array.from(bytes), 'der'), malformed, what);
    if (ber) assert.ok(visit(Uint8Array.from(bytes), 'ber') >= 2, what);
    else assert.throws(() => visit(Uint8Array.from(bytes), 'ber'), malformed, what);
  }
});

test('strings in segments are joined where BER is read, and refused in DER', () => {
  const cut = derElement(0x24, derOctets(Buffer.from('ab')), derElement(0x24, derOctets(Buffer.from('c'))));
  const read = (encoding: Encoding) => octetsOf(readWhole(cut, 0x24, encoding));
  assert.equal(Buffer.from(read('ber')).toString(), 'abc');
  assert.throws(() => read('der'), malformed);
  assert.equal(isDer(readWhole(cut, 0x24, 'ber')), false);
});

test('object identifiers and times have one form', () => {
  const oid =
    (...octets: number[]) =>
    () =>
      oidOf(readWhole(derElement(0x06, Uint8Array.from(octets)), derTag.oid));
  assert.equal(oid(0x2a, 0x86, 0x48)(), '1.2.840');
  for (const wrong of [oid(), oid(0x2a, 0x80, 0x01), oid(0x80, 0x01), oid(0x2a, 0x86)]) assert.throws(wrong, malformed);
  const time = (text: string) => () => timeOf(readWhole(derElement(0x17, Buffer.from(text, 'latin1')), derTag.utcTime));
  assert.equal(time('491231235959Z')().toISOString(), '2049-12-31T23:59:59.000Z');
  assert.equal(time('500101000000Z')().toISOString(), '1950-01-01T00:00:00.000Z');
  for (const wrong of [
    '261301000000Z',
    '260230000000Z',
    '260101240000Z',
    '260101000060Z',
    '2601010000Z',
    '260101000000+0000',
  ]) {
    assert.throws(time(wrong), malformed, wrong);
  }
});

test('what was written is read back, and whatever the bytes, there is a value or ERR_DER_MALFORMED', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70_000, size: 'max' }), (bytes) => {
      assert.equal(Buffer.compare(contentOf(readWhole(derOctets(bytes), derTag.octetString)), bytes), 0);
    }),
    { numRuns: 60 },
  );
  const seconds = fc.date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true });
  fc.assert(
    fc.property(seconds, fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 6 }), (date, arcs) => {
      const wanted = new Date(Math.floor(date.getTime() / 1000) * 1000);
      const tag = wanted.getUTCFullYear() < 2050 ? derTag.utcTime : derTag.generalizedTime;
      assert.deepEqual(timeOf(readWhole(derTime(wanted), tag)), wanted);
      const dotted = `1.2.${arcs.join('.')}`;
      assert.equal(oidOf(readWhole(derOid(dotted), derTag.oid)), dotted);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom('der', 'ber'), (bytes, encoding: Encoding) => {
      try {
        visit(Buffer.concat([Uint8Array.of(0x30, bytes.length), bytes]), encoding);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ERR_DER_MALFORMED');
      }
    }),
    { numRuns: 2000 },
  );
});
