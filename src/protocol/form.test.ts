import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isBrambleError } from '../base/errors.ts';
import { type FormBudget, parseForm, parseQuery } from './form.ts';

const roomy: FormBudget = { maxPairs: 64, maxNameBytes: 512, maxValueBytes: 512 };
const tight: FormBudget = { maxPairs: 3, maxNameBytes: 4, maxValueBytes: 6 };
const refused = (error: unknown) => isBrambleError(error, 'ERR_INPUT');

/** Bytes that count how often one of them is looked at. */
function counted(bytes: Uint8Array): { bytes: Uint8Array; reads: () => number } {
  let reads = 0;
  const watched = new Proxy(bytes, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) reads += 1;
      return Reflect.get(target, key, target);
    },
  });
  return { bytes: watched, reads: () => reads };
}

test('what a form was made of is read out of it, whatever it is', () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 }).filter((given) => given.isWellFormed());
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, maxLength: 20 }), (pairs) => {
      const form = parseForm(Buffer.from(new URLSearchParams(pairs).toString()), roomy);
      // A pair without a name and without a value is written as an equals sign.
      assert.deepEqual([...form], pairs);
    }),
  );
});

test('bytes of any kind are refused or read as the platform reads them, and each is looked at once or thrice', () => {
  const piece = fc.oneof(
    fc.constantFrom('&', '=', '+', '%', '%2', '%41', '%C3%A9', '%c3', 'a', 'b', 'é'),
    fc.string({ maxLength: 6 }),
  );
  const given = fc.oneof(
    fc.array(piece, { maxLength: 40 }).map((pieces) => Buffer.from(pieces.join(''))),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(given, (body) => {
      const watched = counted(body);
      let form: ReadonlyMap<string, string>;
      try {
        form = parseForm(watched.bytes, roomy);
      } catch (error) {
        return refused(error) && watched.reads() <= 3 * body.length + 2;
      }
      assert.ok(watched.reads() <= 3 * body.length);
      assert.deepEqual([...form], [...new URLSearchParams(`&${body}`)]);
      return true;
    }),
    { numRuns: 1000 },
  );
});

test('a budget ends the reading where it is exceeded', () => {
  const cases: [body: Buffer, maxReads: number][] = [
    [Buffer.from('a&'.repeat(520_000)), 8],
    [Buffer.from('&'.repeat(1_000_000)), 4],
    [Buffer.from('a'.repeat(1_000_000)), 5],
    [Buffer.from(`a=${'%41'.repeat(300_000)}`), 2 + 7 * 3],
  ];
  for (const [body, maxReads] of cases) {
    const watched = counted(body);
    assert.throws(() => parseForm(watched.bytes, tight), refused);
    assert.ok(watched.reads() <= maxReads, `${body.subarray(0, 8)}: ${watched.reads()}`);
  }
  assert.deepEqual(
    [...parseForm(Buffer.from('abcd=123456&b=&c'), tight)],
    [
      ['abcd', '123456'],
      ['b', ''],
      ['c', ''],
    ],
  );
});

test('what could be read in two ways is refused: doubled names, half percent signs, bytes that are no UTF-8', () => {
  for (const body of ['a=1&a=2', 'a=1&%61=2', 'a=%', 'a=%4', 'a=%4&b', 'a=%zz', 'a=%FF', '%C3=1', 'a=%ED%A0%80']) {
    assert.throws(() => parseForm(Buffer.from(body), roomy), refused, body);
  }
  assert.throws(() => parseForm(Buffer.from([0x61, 0x3d, 0xff]), roomy), refused);
});

test('a query is read as a form, and a target without one has none', () => {
  assert.equal(parseQuery('/scep/x?operation=GetCACaps&message=a%20b', roomy).get('message'), 'a b');
  assert.equal(parseQuery('/scep/x', roomy).size, 0);
  assert.equal(parseQuery('/scep/x?', roomy).size, 0);
});
