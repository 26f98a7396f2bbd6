import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { endingWithin } from '../testing/property.ts';
import {
  assertSigns,
  chainOf,
  formatRotation,
  formatSignature,
  maxSignatureBytes,
  parseRotations,
  parseSignature,
} from './signature.ts';
import { testSigner } from './signed-archive-fixture.ts';
import { typedFingerprint } from './signer-fingerprint.ts';

const refused = { code: 'ERR_RELEASE_SIGNATURE' };
const hex = () => randomBytes(32).toString('hex');
const facts = { release: '1.2.0', archive: hex(), manifest: hex() };
const [ada, bea, cyd] = [testSigner(), testSigner(), testSigner()];
const signature = formatSignature(facts, ada);
const parse = (text: string) => parseSignature(Buffer.from(text));

test('a signature says release, digests and signer, and the statements that stand with it', () => {
  const text = [signature, formatRotation(bea.fingerprint, ada), formatRotation(cyd.fingerprint, bea)].join('\n');
  const read = parse(text);
  assert.deepEqual(read, {
    ...facts,
    signer: ada.fingerprint,
    rotations: [
      { from: ada.fingerprint, to: bea.fingerprint },
      { from: bea.fingerprint, to: cyd.fingerprint },
    ],
    text,
  });
  assertSigns(read, facts);
  for (const other of [{ release: '1.2.1' }, { archive: hex() }, { manifest: hex() }]) {
    assert.throws(() => assertSigns(read, { ...facts, ...other }), refused);
  }
});

test('what was changed anywhere, or says more than one thing, is refused as a whole', () => {
  const lines = signature.split('\n');
  const without = (number: number) => lines.filter((_, index) => index !== number).join('\n');
  const replaced = (pattern: RegExp, text: string) => signature.replace(pattern, text);
  const key = /(?<=key ).*/.exec(formatSignature(facts, bea))?.[0] ?? '';
  const texts: Record<string, string> = {
    'an empty file': '',
    'a truncated one': signature.slice(0, -20),
    'no line break at the end': signature.slice(0, -1),
    'two signatures': `${signature}\n${formatSignature(facts, ada)}`,
    'two signatures without a line between': signature + signature,
    'a statement in front': `${formatRotation(bea.fingerprint, ada)}\n${signature}`,
    'another release': replaced(/1\.2\.0/, '1.2.1'),
    'another format': replaced(/signature 1/, 'signature 2'),
    'another key': replaced(/(?<=key ).*/, key),
    'a key of no length': replaced(/(?<=key ).*/, ''),
    'an empty line more': `${signature}\n`,
    'a line more': `${signature}comment trust me\n`,
    'line breaks of another system': signature.replaceAll('\n', '\r\n'),
    'upper-case digests': replaced(/(?<=archive ).*/, facts.archive.toUpperCase()),
    'odd base64': replaced(/(.)==\n$/, `${signature.at(-4) === 'A' ? 'B' : 'A'}==\n`),
    'hostile text': replaced(/1\.2\.0/, '1.2.0\u001b[2J'),
    'a forged statement': `${signature}\n${formatRotation(bea.fingerprint, ada).replace(bea.fingerprint, cyd.fingerprint)}`,
    'a statement signed by another': `${signature}\n${formatRotation(bea.fingerprint, { ...cyd, publicKey: ada.publicKey })}`,
    'a signature that is meant as a statement': `${signature}\n${signature.replace('release signature', 'signer rotation')}`,
    'too many statements': [signature, ...Array.from({ length: 33 }, () => formatRotation(bea.fingerprint, ada))].join(
      '\n',
    ),
    'a file without end': signature + ' '.repeat(maxSignatureBytes),
  };
  for (const [what, text] of Object.entries(texts)) {
    assert.throws(() => parse(text), refused, what);
  }
  for (let number = 0; number < lines.length; number++)
    assert.throws(() => parse(without(number)), refused, lines[number]);
  assert.throws(() => parseSignature(Buffer.alloc(200, 0xff)), refused);
});

test('what a later release has added is told as such, and not as damage', () => {
  const later = { ...refused, message: /made for a later Bramble: it contains a "bramble [a-z ]+ \d+"/ };
  for (const text of [
    signature.replace('signature 1', 'signature 2'),
    `${signature}\n${formatRotation(bea.fingerprint, ada).replace('rotation 1', 'rotation 2')}`,
    `${signature}\nbramble transparency proof 1\nlog 3\n`,
  ]) {
    assert.throws(() => parse(text), later, text);
  }
  assert.throws(() => parseRotations(Buffer.from('bramble signer rotation 2\n')), later);
});

test('no octet can be another one', () => {
  const bytes = Buffer.from(signature);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (place, change) => {
      const damaged = Buffer.from(bytes);
      damaged[place] = (damaged[place] ?? 0) ^ change;
      assert.throws(() => parseSignature(damaged), refused);
    }),
    { numRuns: 500, ...endingWithin() },
  );
});

test('a signature made for something else with the same key is none of a release', () => {
  const statement = signature.slice(0, signature.indexOf('signature ', 30));
  const other = statement.replace('bramble release signature 1', 'somebody’s other format');
  assert.throws(() => parse(`${statement}signature ${ada.sign(Buffer.from(other)).toString('base64')}\n`), refused);
});

test('a chain leads along what each signer said of the next, also through circles, and nowhere else', () => {
  const statements = (...pairs: [typeof ada, typeof ada][]) =>
    parseRotations(Buffer.from(pairs.map(([old, next]) => formatRotation(next.fingerprint, old)).join('\n')));
  const chain = (rotations: ReturnType<typeof statements>, from: typeof ada, to: typeof ada) =>
    chainOf(rotations, from.fingerprint, to.fingerprint)?.map((print) =>
      [ada, bea, cyd].findIndex(({ fingerprint }) => fingerprint === print),
    );
  assert.deepEqual(chain(statements([bea, cyd], [ada, bea]), ada, cyd), [0, 1, 2]);
  assert.deepEqual(chain(statements([ada, bea], [bea, ada], [ada, ada], [bea, cyd]), ada, cyd), [0, 1, 2]);
  assert.equal(chain(statements([ada, bea], [bea, ada]), ada, cyd), undefined);
  assert.equal(chain(statements([cyd, ada], [cyd, bea]), ada, bea), undefined);
  assert.equal(chain(statements([bea, ada]), ada, bea), undefined, 'the newcomer says so itself');
});

test('a fingerprint is read as people copy it, and nothing else is one', () => {
  const { fingerprint } = ada;
  assert.equal(typedFingerprint(` ${fingerprint.replaceAll(':', '').toUpperCase()} `), fingerprint);
  assert.equal(typedFingerprint(fingerprint.replaceAll(':', ' ')), fingerprint);
  for (const text of ['', fingerprint.slice(1), `${fingerprint}0`, 'x'.repeat(64)])
    assert.equal(typedFingerprint(text), undefined);
});
