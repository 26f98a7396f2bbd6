/** The router stands where strangers reach it: it is given no way to the database, also not through what it imports. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

/** Imports and exports from files of the program, but for those of types alone, which are gone when it runs. */
const loaded = /^(?:import|export)(?! type)[^;]*?\bfrom '(\.[^']+)';/gm;

/** The files that are loaded with `entry`, itself included. */
function loadedWith(entry: string): Set<string> {
  const found = new Set<string>();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file)) continue;
    found.add(file);
    for (const [, relative = ''] of readFileSync(file, 'utf8').matchAll(loaded)) {
      waiting.push(path.join(path.dirname(file), relative));
    }
  }
  return found;
}

test('nothing that a router loads knows the database', () => {
  const files = [...loadedWith(path.join(import.meta.dirname, 'main.ts'))].map((file) =>
    path.relative(path.join(import.meta.dirname, '../..'), file).replaceAll('\\', '/'),
  );
  assert.ok(files.includes('platforms/apple/platform.ts'), 'platforms are loaded with it');
  assert.deepEqual(
    files.filter((file) => file.startsWith('database/')),
    [],
  );
});
