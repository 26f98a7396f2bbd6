/** docs/asvs.md answers every requirement of levels 1 and 2 once, and names tests that are there. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { levels } from './levels.ts';

const root = path.join(import.meta.dirname, '..', '..');
const document = readFileSync(path.join(root, 'docs', 'asvs.md'), 'utf8');
const levelOf = new Map<string, number>(
  Object.entries(levels).flatMap(([section, digits]) =>
    [...digits].map((level, index) => [`${section}.${index + 1}`, Number(level)] as const),
  ),
);

/** `6.2.2, 6.2.3` and `6.2.1 to 6.2.4`, in one section. */
function numbersIn(cell: string): string[] {
  return [...cell.matchAll(/(\d+\.\d+)\.(\d+)(?: to \1\.(\d+))?/g)].flatMap(([, section, first, last = first]) => {
    const [from, to] = [Number(first), Number(last)];
    return Array.from({ length: to - from + 1 }, (_, index) => `${section}.${from + index}`);
  });
}

const rows = [...document.matchAll(/^\| (\d[^|]*) \| ([^|]+) \| (.+) \|$/gm)].map(
  ([, which = '', level = '', answer]) => {
    return { numbers: numbersIn(which), level, answer };
  },
);
const answered = rows.flatMap(({ numbers }) => numbers);

test('the numbers are those of the standard', () => {
  const count = (level: number) => [...levelOf.values()].filter((each) => each === level).length;
  assert.deepEqual([levelOf.size, count(1), count(2), count(3)], [345, 70, 183, 92]);
  assert.deepEqual(
    answered.filter((number) => !levelOf.has(number)),
    [],
  );
});

test('every requirement of levels 1 and 2 is answered once', () => {
  const asked = [...levelOf].filter(([, level]) => level < 3).map(([number]) => number);
  assert.deepEqual(
    asked.filter((number) => !answered.includes(number)),
    [],
    'not answered',
  );
  assert.deepEqual(
    answered.filter((number, index) => answered.indexOf(number) !== index),
    [],
    'answered twice',
  );
  for (const { numbers, level, answer } of rows) {
    const stated = [...new Set(numbers.map((number) => levelOf.get(number)))].sort().join(', ');
    assert.equal(level, stated, `${numbers}: ${answer}`);
  }
});

test('every file that it names is there', () => {
  const files = globSync('{src,scripts,test,sql}/**/*.{ts,tsx,sql}', { cwd: root });
  const named = [...document.matchAll(/`([\w./-]+\.(?:tsx?|sql))`/g)].map(([, name = '']) => name);
  assert.deepEqual(
    named.filter((name) => !files.some((file) => file === name || file.endsWith(`/${name}`))),
    [],
  );
});
