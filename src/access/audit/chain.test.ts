import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChainCheck, emptyHead, type Head, type Link, sealNext } from './chain.ts';

function chainOf(texts: readonly string[]): Link[] {
  let head: Head = emptyHead;
  return texts.map((text) => {
    const seal = sealNext(head, text);
    head = seal;
    return { ...seal, text };
  });
}

const links = chainOf(['one', 'two', 'three', 'four']);
const nth = (number: number): Link => links[number - 1] as Link;

function found(given: readonly Link[], heads: readonly Head[] = []): [string, number | null][] {
  const check = new ChainCheck(heads);
  for (const link of given) check.add(link);
  return check.finish().findings.map(({ kind, number }) => [kind, number]);
}

test('a chain as it was sealed has no fault, and is the same one wherever it is taken up', () => {
  assert.deepEqual(found(links, [nth(2), nth(4)]), []);
  const rest = new ChainCheck([], nth(2));
  for (const link of links.slice(2)) rest.add(link);
  assert.deepEqual(rest.finish().findings, []);
  assert.deepEqual(rest.head, { number: 4, chain: nth(4).chain });
});

test('a changed record, a missing one and two that changed places are told apart, each where it is', () => {
  const change = (number: number, text: string | null): Link[] =>
    links.map((link) => (link.number === number ? { ...link, text } : link));
  assert.deepEqual(found(change(3, 'THREE')), [['changed', 3]]);
  assert.deepEqual(found(change(2, null)), [['missing', 2]]);
  const swapped = links.map((link) => ({
    ...link,
    text: link.number === 2 ? 'three' : link.number === 3 ? 'two' : link.text,
  }));
  assert.deepEqual(found(swapped), [
    ['reordered', 2],
    ['reordered', 3],
  ]);
});

test('a missing seal and one that continues another are found once', () => {
  assert.deepEqual(found([nth(1), nth(3), nth(4)]), [['gap', 2]]);
  assert.deepEqual(found([nth(1), { ...nth(2), chain: 'f'.repeat(64) }, nth(3), nth(4)]), [
    ['broken', 2],
    ['broken', 3],
  ]);
});

test('an end that was cut off, and a rewritten chain that fits in itself, are found by a head that was kept', () => {
  assert.deepEqual(found(links.slice(0, 3), [nth(4)]), [['truncated', 4]]);
  assert.deepEqual(found(chainOf(['one', 'TWO', 'three', 'four']), [nth(3)]), [['head', 3]]);
});

test('of very many faults a hundred are listed and all are counted', () => {
  const many = chainOf(Array.from({ length: 250 }, (_, index) => `record ${index}`));
  const check = new ChainCheck();
  for (const link of many) check.add({ ...link, text: null });
  const { count, findings } = check.finish();
  assert.deepEqual([count, findings.length], [250, 100]);
});
