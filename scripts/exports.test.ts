/** What nobody else needs is not exported: a reader then sees at once where a name ends. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const checkout = path.dirname(import.meta.dirname);
const files = new Map(
  globSync(
    ['src', 'scripts', 'test', 'demo', 'bench'].map((folder) => `${folder}/**/*.ts`),
    { cwd: checkout },
  ).map((file) => [path.normalize(file), readFileSync(path.join(checkout, file), 'utf8')]),
);

/** `file name` of what another file takes by name, `file *` where it takes all there is. */
function importedNames(): Set<string> {
  const imported = new Set<string>();
  for (const [file, text] of files) {
    const targetOf = (specifier: string) => path.normalize(path.join(path.dirname(file), specifier));
    for (const [, names, specifier = ''] of text.matchAll(
      /^(?:import|export)\s(?:type\s)?(?:\{([^}]*)\}|[^'{]*)\s?from '(\.[^']+)'/gm,
    )) {
      if (names === undefined) imported.add(`${targetOf(specifier)} *`);
      for (const name of (names ?? '').split(',')) {
        imported.add(
          `${targetOf(specifier)} ${name
            .trim()
            .replace(/^type /, '')
            .replace(/ as .*/, '')}`,
        );
      }
    }
    for (const [, specifier = ''] of text.matchAll(/import\(\s*'(\.[^']+)'/g)) imported.add(`${targetOf(specifier)} *`);
  }
  return imported;
}

test('every function, constant, class and type that src/ exports is used by another file', () => {
  const imported = importedNames();
  const unused: string[] = [];
  for (const [file, text] of files) {
    if (!file.startsWith('src')) continue;
    for (const [, name] of text.matchAll(
      /^export (?:abstract )?(?:async )?(?:function\*?|const|let|class|interface|type) (\w+)/gm,
    )) {
      if (!imported.has(`${file} ${name}`) && !imported.has(`${file} *`)) unused.push(`${file}: ${name}`);
    }
  }
  assert.ok(imported.size > 1000, 'imports are seen');
  assert.deepEqual(unused, []);
});
