/** What inputs of each language are made of. Words of no language are among them: parsers are dear where they go wrong, too. */
import { contextTag } from '../../src/protocol/der/reader.ts';
import {
  derElement,
  derInteger,
  derNull,
  derOctets,
  derOid,
  derSequence,
  derSetOf,
  derUtf8,
} from '../../src/protocol/der/writer.ts';
import { asItIs, type Ingredients, text, textWrap, type Wrap } from './recipes.ts';

export const xml: Ingredients = {
  words: [
    '<true/>',
    '<array/>',
    '<dict/>',
    '<string></string>',
    '<string>x</string>',
    (count) => `<key>k${count}</key><true/>`,
    (count) => `<key>${count}</key><string>v</string>`,
    '<key>a</key><string>b</string>',
    '<integer>1</integer>',
    '<integer>0x7fffffffffffffff</integer>',
    `<integer>${'9'.repeat(60)}</integer>`,
    '<real>1.7976931348623157e308</real>',
    '<date>2026-01-01T00:00:00Z</date>',
    '<data>AA==</data>',
    '<data>AAAA',
    'AAAA',
    '&amp;',
    '&#x41;',
    '&#1114111;',
    '&x;',
    '<![CDATA[x]]>',
    '<![CDATA[',
    '<!-- x -->',
    '<!--',
    '<?x y?>',
    '<a b="c" d="e"/>',
    ' a="b"',
    '<',
    '>',
    ' ',
    '\r\n',
    ']]>',
    'é',
    '\u{1f600}',
    Uint8Array.of(0xff),
    '<array>',
    '</array>',
    '<string>',
    '</string>',
    'xxxxxxxxxxxxxxxx',
  ],
  wraps: [
    textWrap('<array>', '</array>'),
    textWrap('<dict><key>a</key>', '</dict>'),
    textWrap('<string>', '</string>'),
    textWrap('<data>', '</data>'),
    textWrap('<integer>', '</integer>'),
    textWrap('<key>', '</key>'),
    textWrap('<!--', '-->'),
    textWrap('<![CDATA[', ']]>'),
    textWrap('<a ', '/>'),
    textWrap('<dict>', '</dict>'),
    textWrap('<array>'),
  ],
  frames: [
    asItIs,
    text('<plist version="1.0">', '</plist>'),
    text('<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict>', '</dict></plist>'),
    text(
      '<plist><dict><key>Status</key><string>Acknowledged</string><key>UDID</key><string>u</string><key>CommandUUID</key><string>0</string><key>QueryResponses</key><dict>',
      '</dict></dict></plist>',
    ),
    text(
      '<plist><dict><key>Status</key><string>Error</string><key>UDID</key><string>u</string><key>CommandUUID</key><string>0</string><key>ErrorChain</key><array>',
      '</array></dict></plist>',
    ),
    text(
      '<plist><dict><key>MessageType</key><string>TokenUpdate</string><key>UDID</key><string>u</string><key>Topic</key><string>t</string><key>PushMagic</key><string>m</string><key>Token</key><data>AA==</data><key>UnlockToken</key><data>',
      '</data></dict></plist>',
    ),
    text('<!DOCTYPE plist [', ']><plist><true/></plist>'),
    text('<plist><string>', '</string></plist>'),
    text('<plist><data>', '</data></plist>'),
  ],
};

/** With the length in its shortest form, which DER wants. */
function headerOf(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(tag, length);
  if (length < 0x100) return Uint8Array.of(tag, 0x81, length);
  if (length < 0x10000) return Uint8Array.of(tag, 0x82, length >> 8, length & 0xff);
  return Uint8Array.of(tag, 0x83, length >> 16, (length >> 8) & 0xff, length & 0xff);
}

const indefinite = (tag: number): Wrap => ({
  open: () => Uint8Array.of(tag | 0x20, 0x80),
  close: Uint8Array.of(0, 0),
});
const definite = (tag: number): Wrap => ({
  open: (insideBytes) => headerOf(tag, insideBytes),
  close: new Uint8Array(),
});

const signedData = '1.2.840.113549.1.7.2';
const data = '1.2.840.113549.1.7.1';
const sha256 = derSequence(derOid('2.16.840.1.101.3.4.2.1'), derNull());
const info = (...fields: Uint8Array[]) =>
  derSequence(derOid(signedData), derElement(contextTag(0, true), derSequence(...fields)));
const plainData = derSequence(derOid(data));

export const der: Ingredients = {
  words: [
    Uint8Array.of(0x04, 0),
    Uint8Array.of(0x30, 0),
    Uint8Array.of(0x24, 0x80, 0, 0),
    Uint8Array.of(0x30, 0x80, 0, 0),
    Uint8Array.of(0x05, 0),
    Uint8Array.of(0, 0),
    Uint8Array.of(0x02, 1, 1),
    Uint8Array.of(0x01, 1, 0xff),
    Uint8Array.of(0x31, 0),
    Uint8Array.of(0xa0, 0x80),
    Uint8Array.of(0x24, 0x80),
    Uint8Array.of(0x30, 0x80),
    Uint8Array.of(0x30, 0x84),
    Uint8Array.of(0x1f, 0x81),
    Uint8Array.of(0x81),
    Uint8Array.of(0x0c, 1, 0x78),
    (count) => derOctets(Buffer.from(String(count))),
    (count) => derOid(`1.2.${count}`),
    (count) => derInteger(count),
    derOid('1.2.840.113549.1.9.3'),
    derElement(0x06, Buffer.alloc(40, 0x81), Uint8Array.of(1)),
    derSequence(derOid('2.5.29.19'), derOctets(derSequence())),
    (count) => derSequence(derOid(`2.5.29.${count}`), derOctets(derSequence())),
    derSetOf(derSequence(derOid('2.5.4.3'), derUtf8('x'))),
    (count) => derSetOf(derSequence(derOid('2.5.4.3'), derUtf8(String(count)))),
    derSequence(derOid('1.2.840.113549.1.9.7'), derSetOf(derUtf8('x'))),
    sha256,
  ],
  wraps: [
    definite(0x30),
    definite(0x31),
    definite(0x04),
    definite(0xa0),
    definite(0x03),
    definite(0x24),
    indefinite(0x30),
    indefinite(0x24),
    indefinite(0xa0),
    indefinite(0x31),
    definite(0x06),
    definite(0x02),
  ],
  frames: [
    asItIs,
    (inside) => derElement(0x30, inside),
    (inside) => Buffer.concat([Uint8Array.of(0x30, 0x80), inside, Uint8Array.of(0, 0)]),
    (inside) => info(derInteger(1), derElement(0x31, inside), plainData, derSetOf()),
    (inside) =>
      info(derInteger(1), derSetOf(sha256), derSequence(derOid(data), derElement(0xa0, derOctets(inside))), derSetOf()),
    (inside) =>
      info(
        derInteger(1),
        derSetOf(sha256),
        derSequence(derOid(data), derElement(0xa0, derElement(0x24, inside))),
        derSetOf(),
      ),
    (inside) => info(derInteger(1), derSetOf(sha256), plainData, derElement(0xa0, inside), derSetOf()),
    (inside) => info(derInteger(1), derSetOf(sha256), plainData, derElement(0xa0), derElement(0x31, inside)),
    (inside) =>
      info(
        derInteger(1),
        derSetOf(sha256),
        plainData,
        derSetOf(
          derElement(
            0x30,
            derInteger(1),
            derSequence(derSequence(), derInteger(1)),
            sha256,
            derElement(0xa0, inside),
            sha256,
            derOctets(Buffer.alloc(64)),
          ),
        ),
      ),
    // A certificate: name, extensions.
    (inside) =>
      derSequence(
        derSequence(
          derElement(0xa0, derInteger(2)),
          derInteger(1),
          sha256,
          derElement(0x30, inside),
          derSequence(),
          derSequence(),
        ),
      ),
    (inside) =>
      derSequence(
        derSequence(
          derElement(0xa0, derInteger(2)),
          derInteger(1),
          sha256,
          derSequence(),
          derSequence(),
          derSequence(),
          derSequence(sha256),
          derElement(0xa3, derElement(0x30, inside)),
        ),
      ),
    // A certificate request: attributes.
    (inside) =>
      derSequence(
        derSequence(derInteger(0), derSequence(), derSequence(sha256), derElement(0xa0, inside)),
        sha256,
        derElement(0x03, Uint8Array.of(0)),
      ),
  ],
};

export const form: Ingredients = {
  words: [
    'a',
    '&',
    '=',
    'a&',
    'a=',
    '=&',
    '%41',
    '%',
    '%zz',
    '+',
    ' ',
    'é',
    '%ff',
    '%00',
    ';',
    (count) => `a${count}=1&`,
    '\ufeff',
    'e\u0301',
  ],
  wraps: [],
  frames: [
    asItIs,
    text('account='),
    text('account=x&password='),
    text('account=x&password=y&'),
    text('operation=PKIOperation&message='),
    text('', '&account=x&password=y'),
  ],
};

export const json: Ingredients = {
  words: [
    '1,',
    '"",',
    '[],',
    '{},',
    '[',
    '{"a":',
    '"x"',
    '\\u0000',
    '\\',
    (count) => `"k${count}":1,`,
    '"a":1,',
    'null,',
    '1e999,',
    '-',
    ' ',
    'e\u0301',
    '\u0301',
    '\u202e',
    'xxxxxxxx',
    '"S10000001",',
    (count) => `"${count.toString(36).padStart(43, 'a')}",`,
    (count) => `{"serial":"${count.toString(16)}","identifier":"S10000001","expiresAt":"2026"},`,
    (count) => `{"token":"${count.toString(36).padStart(43, 'a')}","identifier":"S10000001","connectionServices":[]},`,
  ],
  wraps: [textWrap('[', '0]'), textWrap('{"a":', '}'), textWrap('"', '"'), textWrap('{', '"z":0}')],
  frames: [
    asItIs,
    text('[', '0]'),
    text('{', '"z":0}'),
    text('{"name":"', '"}'),
    text('{"name":"x","displayName":"', '"}'),
    text('{"name":"x","groups":[', '"g"]}'),
    text('{"nonce":"0123456789abcdef","certificates":[],"tokens":[', '"x"]}'),
    text(
      '{"name":"server-1","host":"',
      '","bootId":"b","processId":1,"release":"1.2.0","linkVersions":[1],"features":[],"identifier":"S10000001","kind":"server"}',
    ),
    text(
      '{"name":"server-1","host":"h","bootId":"b","processId":1,"release":"1.2.0","linkVersions":[1],"features":[',
      '"x"],"identifier":"S10000001","kind":"server"}',
    ),
    text('{"payload":"', '","signature":"AA=="}'),
    text('{"number":1,"cleared":[],"revoked":[', '{}]}'),
    text('{"nonce":"0123456789abcdef","issuedAt":"x","answers":[', '{}]}'),
  ],
};

export const base64: Ingredients = {
  words: ['A', 'AAAA', '=', ' ', '-', '\n', 'é', 'MII', '/', '+', ':'],
  wraps: [],
  frames: [
    asItIs,
    text(':', ':'),
    text('  :', ':  '),
    text(':', ''),
    (inside) => Buffer.from(`:${inside.toString('base64')}:`),
  ],
};
