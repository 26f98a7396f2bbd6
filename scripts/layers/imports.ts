/** The imports of `src/` between rooms, and what the table says of each. */
import path from 'node:path';
import { type Room, roomOf } from './table.ts';

export interface Import {
  readonly file: string;
  /** The file that is imported. */
  readonly target: string;
  /** Undefined where the table has no row for the file. */
  readonly from: Room | undefined;
  readonly to: Room | undefined;
}

/** Tests, and what only tests import. */
export const isTestSupport = (file: string) => /(?:\.test|-fixture)\.ts$|^src\/testing\//.test(file);

/** Static imports, exports from, imports of types, and imports by a call: formatted code has no other form of them. */
const specifier = /(?:\bfrom |\bimport |\bimport\()'(\.[^']*)'/g;

export function importsOf(rooms: readonly Room[], file: string, text: string): Import[] {
  return [...text.matchAll(specifier)].map(([, relative = '']) => {
    const target = path.posix.join(path.posix.dirname(file), relative);
    return { file, target, from: roomOf(rooms, file), to: roomOf(rooms, target) };
  });
}

/** Files outside all rooms, whether or not they import anything. */
export function wrongPlaces(rooms: readonly Room[], files: readonly string[]): string[] {
  return files
    .filter((file) => roomOf(rooms, file) === undefined)
    .map((file) => `${file}: its folder has no row in ARCHITECTURE.md.`);
}

export function wrongImports(rooms: readonly Room[], imports: readonly Import[]): string[] {
  const wrong = new Set<string>();
  const used = new Set<string>();
  for (const { file, target, from, to } of imports) {
    if (!target.startsWith('src/')) {
      if (!isTestSupport(file)) wrong.add(`${file}: imports ${target}, which is not part of the program.`);
    } else if (from && to && from !== to && !(isTestSupport(file) && (!from.testsToo || to.name === 'testing'))) {
      if (isTestSupport(target) && !isTestSupport(file)) wrong.add(`${file}: imports ${target}, which is for tests.`);
      else if (from.mayImport.includes(to.name)) used.add(`${from.name} ${to.name}`);
      else wrong.add(`${file}: src/${from.name}/ may not import src/${to.name}/ (${path.posix.basename(target)}).`);
    }
  }
  const present = new Set(imports.flatMap(({ from, to }) => [from?.name, to?.name]));
  for (const { name, mayImport } of rooms) {
    if (!present.has(name))
      wrong.add(`src/${name}/ has a row in ARCHITECTURE.md and no files that import or are imported.`);
    for (const other of mayImport) {
      if (!used.has(`${name} ${other}`))
        wrong.add(`src/${name}/ may import ${other} by ARCHITECTURE.md, and does not.`);
    }
  }
  return [...wrong].sort();
}
