/** The rule of layers on small houses: what it has to find, and that it finds it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importsOf, wrongImports, wrongPlaces } from './layers/imports.ts';
import { drawHouse } from './layers/picture.ts';
import { readRooms, wrongInTable } from './layers/table.ts';

const table = (...rows: string[]) => readRooms(rows.map((row) => `| ${row} |`).join('\n'));
const house = table(
  '`src/base/` | ids | nothing',
  '`src/testing/` | for tests | nothing',
  '`src/store/` | rows | base',
  '`src/plan/` (tests too) | plans | base',
  '`src/plan/wide/` | wide plans | base, store',
);

/** What is wrong with a house of these files, permissions that nobody uses left out. */
function wrong(files: Record<string, string>): string[] {
  const imports = Object.entries(files).flatMap(([file, text]) => importsOf(house, file, text));
  return wrongImports(house, imports).filter(
    (line) => !line.includes('ARCHITECTURE.md,') && !line.includes('no files'),
  );
}

test('an import that the table does not allow is found in each form that an import has', () => {
  for (const text of [
    "import { x } from '../store/x.ts';",
    "import type { X } from '../store/x.ts';",
    "import {\n  x,\n  y,\n} from '../store/x.ts';",
    "export { x } from '../store/x.ts';",
    "export * from '../store/x.ts';",
    "import '../store/x.ts';",
    "const { x } = await import('../store/x.ts');",
  ]) {
    assert.deepEqual(
      wrong({ 'src/plan/a.ts': text }),
      ['src/plan/a.ts: src/plan/ may not import src/store/ (x.ts).'],
      text,
    );
  }
  assert.deepEqual(wrong({ 'src/plan/a.ts': "import { x } from '../base/x.ts';" }), []);
});

test('a room within a room has a row of its own', () => {
  const reach = "import { x } from '../../store/x.ts';";
  assert.deepEqual(wrong({ 'src/plan/wide/a.ts': reach }), []);
  assert.equal(wrong({ 'src/plan/deep/a.ts': reach }).length, 1);
});

test('a file in a folder without a row is found, whether or not it imports anything', () => {
  const files = ['src/plan/a.ts', 'src/attic/a.ts', 'src/b.ts'];
  assert.deepEqual(wrongPlaces(house, files), [
    'src/attic/a.ts: its folder has no row in ARCHITECTURE.md.',
    'src/b.ts: its folder has no row in ARCHITECTURE.md.',
  ]);
});

test('tests reach further, except where their room forbids it, and nothing else imports what is for tests', () => {
  const reach = "import { x } from '../store/x.ts';";
  assert.deepEqual(wrong({ 'src/base/a.test.ts': reach, 'src/base/a-fixture.ts': reach }), []);
  assert.equal(wrong({ 'src/plan/a.test.ts': reach }).length, 1);
  assert.equal(wrong({ 'src/plan/a.ts': "import { x } from '../base/x-fixture.ts';" }).length, 1);
  assert.equal(wrong({ 'src/plan/a.ts': "import { x } from '../testing/x.ts';" }).length, 1);
  assert.deepEqual(wrong({ 'src/plan/a.test.ts': "import { x } from '../testing/x.ts';" }), []);
});

test('a permission that nobody uses and a row without files are found', () => {
  const lines = wrongImports(house, importsOf(house, 'src/store/a.ts', "import { x } from '../base/x.ts';"));
  assert.ok(lines.includes('src/plan/wide/ may import store by ARCHITECTURE.md, and does not.'));
  assert.ok(!lines.includes('src/store/ may import base by ARCHITECTURE.md, and does not.'));
  assert.ok(lines.some((line) => line.startsWith('src/testing/ has a row')));
});

test('a row can only name rows above it, so no circle can be written down', () => {
  assert.deepEqual(wrongInTable(house), []);
  assert.equal(wrongInTable(table('`src/a/` | a | b', '`src/b/` | b | a')).length, 1);
  assert.equal(wrongInTable(table('`src/a/` | a | nothing', '`src/a/` | a | nothing')).length, 1);
});

test('in the picture a room stands above everything that it imports', () => {
  const rows = drawHouse(house).split('\n');
  const storey = (name: string) => rows.findIndex((line) => line.split(/ +/).includes(name));
  for (const { name, mayImport } of house) for (const other of mayImport) assert.ok(storey(name) < storey(other), name);
});
