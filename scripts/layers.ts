/**
 * Holds the imports of `src/` against the table in ARCHITECTURE.md, which is the one list of who may import whom.
 *
 *     node scripts/layers.ts              checks; exits with 1 where something is wrong
 *     node scripts/layers.ts --picture    draws the house in ARCHITECTURE.md anew
 *
 * A row is a room: a folder, what it is for, and the rooms that it may import. It names rooms that stand above it only, so
 * no circle of rooms can be written down. An import that the table does not allow is an error, type imports included; so are
 * a folder without a row, a row without a folder, and a permission that nobody uses.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { importsOf, wrongImports, wrongPlaces } from './layers/imports.ts';
import { drawHouse } from './layers/picture.ts';
import { readRooms, wrongInTable } from './layers/table.ts';

const checkout = path.dirname(import.meta.dirname);
const documentFile = path.join(checkout, 'ARCHITECTURE.md');
const [begin, end] = ['<!-- drawn by scripts/layers.ts -->\n', '<!-- end of the drawing -->'];

const document = readFileSync(documentFile, 'utf8');
const rooms = readRooms(document);
const files = globSync('src/**/*.{ts,tsx}', { cwd: checkout }).map((file) => file.replaceAll('\\', '/'));
const imports = files.flatMap((file) => importsOf(rooms, file, readFileSync(path.join(checkout, file), 'utf8')));
const drawn = withPicture(document, drawHouse(rooms));

if (process.argv.includes('--picture')) {
  writeFileSync(documentFile, drawn);
} else {
  const wrong = [...wrongInTable(rooms), ...wrongPlaces(rooms, files), ...wrongImports(rooms, imports)];
  if (drawn !== document)
    wrong.push('The picture in ARCHITECTURE.md is not that of its table: node scripts/layers.ts --picture');
  for (const line of wrong) console.error(line);
  if (wrong.length > 0) process.exitCode = 1;
  else console.log(`Checked ${imports.length} imports between ${rooms.length} rooms.`);
}

function withPicture(text: string, picture: string): string {
  const from = text.indexOf(begin) + begin.length;
  const to = text.indexOf(end);
  if (from < begin.length || to < from)
    throw new Error(`ARCHITECTURE.md has no place for the picture: ${begin.trim()} … ${end}`);
  return `${text.slice(0, from)}${picture}${text.slice(to)}`;
}
