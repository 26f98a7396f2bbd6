import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { edited } from '../source-edit.ts';
import { knownBugs } from './known-bugs.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const textOf = (file: string) => readFile(join(root, file), 'utf8');

test('every known bug can be put back into today’s tree', async () => {
  for (const bug of knownBugs) assert.notEqual(edited(await textOf(bug.file), bug), await textOf(bug.file), bug.name);
});

test('a text that stands in a file twice, or no longer, is refused', () => {
  const edit = { file: 'a.ts', find: 'one', replace: 'two' };
  assert.equal(edited('one $& $1', { ...edit, replace: '$&' }), '$& $& $1');
  assert.throws(() => edited('one and one', edit), /a\.ts holds 2 times instead of once: one/);
  assert.throws(() => edited('two', edit), /0 times/);
});

test('every test that is to see a bug is there', async () => {
  for (const { name, seenBy } of knownBugs) {
    assert.ok(seenBy.length > 0, name);
    for (const { file, title } of seenBy) {
      assert.ok(
        titlesIn(await textOf(file)).some((pattern) => pattern.test(title)),
        `${file} has no test "${title}", which is to see ${name}`,
      );
    }
  }
});

test('there are enough of them, each with a name of its own', () => {
  const names = knownBugs.map(({ name }) => name);
  assert.ok(names.length >= 20, `${names.length} known bugs`);
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)+$/);
});

/** A title that is put together stands for whatever it may become. */
function titlesIn(source: string): RegExp[] {
  return [...source.matchAll(/\btest\(\s*(['`])((?:\\.|(?!\1)[^\\])*)\1/g)].map(([, , literal = '']) => {
    const parts = literal.split(/\$\{[^}]*\}/).map((part) => part.replaceAll(/\\(.)/g, '$1'));
    return new RegExp(`^${parts.map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('.*')}$`);
  });
}
