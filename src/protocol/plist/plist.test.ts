import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isBrambleError } from '../../base/errors.ts';
import { parseFlatDocument } from './flat-document.ts';
import { parsePlist } from './parser.ts';
import { serializePlist } from './serializer.ts';
import { defaultPlistLimits, type PlistValue } from './value.ts';
import { parseXmlDocument } from './xml-document.ts';

const xmlText = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[^\P{C}\n\t]|[\ufffe\uffff]/gu, ''));
const leaf: fc.Arbitrary<PlistValue> = fc.oneof(
  xmlText,
  fc.boolean(),
  fc.integer(),
  fc.double(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => new Date(seconds * 1000)),
);
const { value: anyValue } = fc.letrec<{ value: PlistValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(xmlText, tie('value'), { maxKeys: 4, noNullPrototype: false }).map((value) => {
      return Object.assign(Object.create(null), value);
    }),
  ),
}));

const xml = (body: string) => Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0">${body}</plist>`);
const refuses = (bytes: Uint8Array, code: string) => assert.throws(() => parsePlist(bytes), { code });

/** Objects of a binary property list, given as raw bytes, put behind a one-byte offset table. */
function binary(objects: readonly (readonly number[])[], root = 0): Buffer {
  const offsets: number[] = [];
  let body = Buffer.from('bplist00');
  for (const object of objects) {
    offsets.push(body.length);
    body = Buffer.concat([body, Uint8Array.from(object)]);
  }
  const trailer = Buffer.alloc(32);
  trailer.writeUInt8(1, 6);
  trailer.writeUInt8(1, 7);
  trailer.writeBigUInt64BE(BigInt(objects.length), 8);
  trailer.writeBigUInt64BE(BigInt(root), 16);
  trailer.writeBigUInt64BE(BigInt(body.length), 24);
  return Buffer.concat([body, Uint8Array.from(offsets), trailer]);
}

test('what is serialised is parsed back to itself', () => {
  fc.assert(fc.property(anyValue, (value) => assert.deepEqual(parsePlist(Buffer.from(serializePlist(value))), value)));
});

test('serialising keeps the order of keys and writes the same bytes again', () => {
  const text = serializePlist({ b: 1, a: [true, 1.5], c: { d: '<&>\r' } });
  assert.ok(text.indexOf('<key>b</key>') < text.indexOf('<key>a</key>'));
  assert.equal(serializePlist(parsePlist(Buffer.from(text))), text);
});

test('what XML cannot hold is not serialised', () => {
  for (const value of ['\u0000', '\ud800', 2n ** 64n, new Date(Number.NaN)]) {
    assert.throws(() => serializePlist(value), { code: 'ERR_PLIST_MALFORMED' });
  }
});

test('any bytes give a value or a plist error, XML and binary', () => {
  const codes = ['ERR_PLIST_MALFORMED', 'ERR_PLIST_TOO_DEEP', 'ERR_PLIST_TOO_LARGE'];
  const good = Buffer.from(serializePlist({ Status: 'Idle', list: [1, 2.5, Buffer.from('x'), new Date(0)] }));
  const goodBinary = binary([
    [0xd1, 1, 2],
    [0x51, 0x61],
    [0xa2, 1, 3],
    [0x10, 7],
  ]);
  const damaged = (source: Buffer) =>
    fc.array(fc.tuple(fc.nat(source.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }).map((changes) => {
      const copy = Buffer.from(source);
      for (const [at, octet] of changes) copy[at] = octet;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), damaged(good), damaged(goodBinary)), (bytes) => {
      try {
        parsePlist(bytes);
      } catch (error) {
        assert.ok(isBrambleError(error) && codes.includes(error.code), String(error));
      }
    }),
    { numRuns: 1500 },
  );
});

test('every truncation is refused, XML and binary', () => {
  const good = Buffer.from(serializePlist({ Status: 'Idle', n: [1] }).trimEnd());
  for (let length = 0; length < good.length; length++) refuses(good.subarray(0, length), 'ERR_PLIST_MALFORMED');
  const goodBinary = binary([
    [0xd1, 1, 2],
    [0x51, 0x61],
    [0x10, 7],
  ]);
  for (let length = 0; length < goodBinary.length; length++) {
    refuses(goodBinary.subarray(0, length), 'ERR_PLIST_MALFORMED');
  }
});

test('entities, declarations, duplicate keys and trailing data are refused', () => {
  const entity = '<!DOCTYPE plist [<!ENTITY a "aaaa">]><plist version="1.0"><string>&a;</string></plist>';
  refuses(Buffer.from(entity), 'ERR_PLIST_MALFORMED');
  refuses(Buffer.from(entity.replace('&a;', 'a')), 'ERR_PLIST_MALFORMED');
  refuses(xml('<string>&unknown;</string>'), 'ERR_PLIST_MALFORMED');
  refuses(xml('<dict><key>a</key><true/><key>a</key><true/></dict>'), 'ERR_PLIST_MALFORMED');
  refuses(xml('<dict><key>__proto__</key><true/><key>__proto__</key><true/></dict>'), 'ERR_PLIST_MALFORMED');
  refuses(Buffer.concat([xml('<true/>'), Buffer.from('<plist/>')]), 'ERR_PLIST_MALFORMED');
  refuses(Buffer.concat([xml('<true/>'), Buffer.from('x')]), 'ERR_PLIST_MALFORMED');
  refuses(xml('<true/><true/>'), 'ERR_PLIST_MALFORMED');
  refuses(xml('<dict><key>a</key></dict>'), 'ERR_PLIST_MALFORMED');
  refuses(xml('<dict><true/></dict>'), 'ERR_PLIST_MALFORMED');
  refuses(xml('<string>a<b/></string>'), 'ERR_PLIST_MALFORMED');
  refuses(xml(''), 'ERR_PLIST_MALFORMED');
});

test('what costs most to read, and is no property list, is not read to its end', () => {
  const document = (prolog: string, body = '<true/>') => Buffer.from(`${prolog}<plist version="1.0">${body}</plist>`);
  assert.equal(parsePlist(document(`<!-- ${'x'.repeat(3000)} -->`)), true);
  for (const prolog of [
    `<!--${'x'.repeat(5000)}-->`,
    `<!DOCTYPE ${'"a"'.repeat(2000)}>`,
    `<?a ${'?'.repeat(5000)}?>`,
  ]) {
    refuses(document(prolog), 'ERR_PLIST_MALFORMED');
  }
  const names = (count: number) => Array.from({ length: count }, (_, index) => `a${index}=""`).join(' ');
  assert.equal(parsePlist(document('', `<true ${names(8)}/>`)), true);
  refuses(document('', `<true ${names(40)}/>`), 'ERR_PLIST_MALFORMED');
  refuses(document('', `<array>${'<true a=""/>'.repeat(40)}</array>`), 'ERR_PLIST_MALFORMED');
});

test('line ends are line feeds, but where a reference names a carriage return', () => {
  for (const end of ['\r\n', '\r', '\n']) {
    const text = `<string>a${end}b&#13;<![CDATA[${end}${end}]]></string>`;
    assert.equal(parsePlist(xml(`${end}${text}${end}`)), 'a\nb\r\n\n');
  }
});

test('a date that no calendar has is not read as another one', () => {
  for (const date of ['2026-02-30T00:00:00Z', '2026-13-01T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01T00:00:60Z']) {
    refuses(xml(`<date>${date}</date>`), 'ERR_PLIST_MALFORMED');
  }
  assert.deepEqual(parsePlist(xml('<date>2024-02-29T23:59:59Z</date>')), new Date('2024-02-29T23:59:59Z'));
});

test('nesting and size have limits', () => {
  refuses(xml('<array>'.repeat(40)), 'ERR_PLIST_TOO_DEEP');
  refuses(Buffer.alloc(1_048_577, 0x20), 'ERR_PLIST_TOO_LARGE');
  refuses(xml('<array>'.concat('<true/>'.repeat(100_001))), 'ERR_PLIST_TOO_LARGE');
});

test('octets that are read again and again are paid for each time, also where nothing is kept of them', () => {
  // References to objects of their own, whose offsets all lead to one long string that is no Unicode.
  const [references, characters] = [2000, 20_000];
  const list = Buffer.alloc(6 + references * 2);
  list.set([0xaf, 0x12]);
  list.writeUInt32BE(references, 2);
  for (let index = 0; index < references; index++) list.writeUInt16BE(1 + index, 6 + index * 2);
  const text = Buffer.alloc(6 + characters * 2, 0x4e);
  text.set([0x6f, 0x12]);
  text.writeUInt32BE(characters, 2);
  text.writeUInt16BE(0xd800, text.length - 2);
  const table = Buffer.alloc(4 * (1 + references));
  table.writeUInt32BE(8, 0);
  for (let index = 1; index <= references; index++) table.writeUInt32BE(8 + list.length, index * 4);
  const trailer = Buffer.alloc(32);
  trailer.set([4, 2], 6);
  trailer.writeBigUInt64BE(BigInt(1 + references), 8);
  trailer.writeBigUInt64BE(BigInt(8 + list.length + text.length), 24);
  const bytes = Buffer.concat([Buffer.from('bplist00'), list, text, table, trailer]);
  assert.throws(() => parsePlist(bytes, { ...defaultPlistLimits, oddScalars: 'kept' }), {
    code: 'ERR_PLIST_TOO_LARGE',
  });
});

test('a binary list that holds itself is refused, one that unfolds without end is too', () => {
  refuses(binary([[0xa1, 0]]), 'ERR_PLIST_MALFORMED');
  const bomb = Array.from({ length: 20 }, (_, level) => [0xa8, ...Array<number>(8).fill(level + 1)]);
  refuses(binary([...bomb, [0x09]]), 'ERR_PLIST_TOO_LARGE');
  refuses(binary([...Array.from({ length: 40 }, (_, level) => [0xa1, level + 1]), [0x09]]), 'ERR_PLIST_TOO_DEEP');
});

test('a binary list gives the values of its XML form', () => {
  const bytes = binary([
    [0xd3, 1, 2, 3, 4, 5, 6],
    [0x51, 0x61],
    [0x61, 0x00, 0xe9],
    [0x51, 0x62],
    [0x13, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0x42, 1, 2],
    [0x33, 0, 0, 0, 0, 0, 0, 0, 0],
  ]);
  const expected = { a: -1, é: Buffer.from([1, 2]), b: new Date('2001-01-01T00:00:00Z') };
  assert.deepEqual(parsePlist(bytes), Object.assign(Object.create(null), expected));
});

test('CDATA, comments, character references, hexadecimal and a byte order mark are understood', () => {
  const body =
    '<array><!-- c --><string><![CDATA[<a>]]>&#x41;</string><integer>0x1F</integer><data>\n AQI=\n</data></array>';
  const bytes = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), xml(body)]);
  assert.deepEqual(parsePlist(bytes), ['<a>A', 31, Buffer.from([1, 2])]);
});

const flatDocument = fc
  .tuple(
    fc.array(
      fc.tuple(
        fc.constantFrom('Status', 'UDID', 'CommandUUID', 'Status ', '__proto__', 'a', ''),
        fc.oneof(
          fc.constantFrom('Idle', '', ' Idle ', 'a&amp;b', 'a>b', ']]>', 'é', '\t', 'a\r\nb', '<b/>'),
          fc.string(),
        ),
        fc.constantFrom('', '\n', '\n\t', '\r\n', ' ', '\u00a0', '\f', '<!-- c -->', 'x'),
        fc.constantFrom('string', 'string', 'string', 'string', 'integer', 'data', 'key'),
      ),
      { maxLength: 5 },
    ),
    fc.constantFrom('', '\n', '\r\n\t', '\u00a0', '<!-- c -->'),
    fc.constantFrom('</dict></plist>', '</dict>\n</plist>\n', '</dict></plist>x', '</dict>', '</dict></plist><a/>'),
    fc.constantFrom('UTF-8', 'UTF-8', 'utf-8', 'UTF-16'),
    fc.constantFrom('', '', '', '\ufeff', '\n'),
  )
  .map(([pairs, gap, tail, encoding, before]) => {
    const body = pairs.map(([key, text, space, name]) => `<key>${key}</key>${space}<${name}>${text}</${name}>${space}`);
    return `${before}<?xml version="1.0" encoding="${encoding}"?>${gap}<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">${gap}<plist version="1.0">${gap}<dict>${gap}${body.join('')}${tail}`;
  });

test('what the short way reads, the full reader reads the same', () => {
  const readBoth = (text: string, limits = defaultPlistLimits) => {
    const flat = parseFlatDocument(text, limits);
    if (flat !== undefined) assert.deepEqual(parseXmlDocument(text, limits), flat);
    return flat !== undefined;
  };
  let taken = 0;
  fc.assert(
    fc.property(flatDocument, (text) => {
      if (readBoth(text)) taken++;
    }),
    { numRuns: 3000 },
  );
  assert.ok(taken > 0);
  const idle = serializePlist({ Status: 'Idle', UDID: '00008030-001A' });
  fc.assert(
    fc.property(fc.nat(idle.length - 1), fc.constantFrom('', 'x', '&', '<', '>', '\n', '"'), (at, put) => {
      readBoth(`${idle.slice(0, at)}${put}${idle.slice(at + 1)}`);
    }),
    { numRuns: 2000 },
  );
});

test('the short way takes an Idle body, and leaves to the full reader what is beyond a limit', () => {
  const idle = serializePlist({ Status: 'Idle', UDID: '00008030-001A' });
  assert.deepEqual({ ...parseFlatDocument(idle, defaultPlistLimits) }, { Status: 'Idle', UDID: '00008030-001A' });
  assert.equal(parseFlatDocument(idle, { ...defaultPlistLimits, maxValues: 2 }), undefined);
  assert.ok(parseFlatDocument(idle, { ...defaultPlistLimits, maxValues: 3 }));
  assert.doesNotThrow(() => parseXmlDocument(idle, { ...defaultPlistLimits, maxValues: 3 }));
  assert.equal(parseFlatDocument(idle, { ...defaultPlistLimits, maxDepth: 0 }), undefined);
});
