/** Decisions that migrations, program and tests name are there. A sealed migration names its own for good. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const checkout = path.dirname(import.meta.dirname);
const decisions = globSync('docs/adr/*.md', { cwd: checkout });

test('every decision that is named is there', () => {
  const files = globSync('{sql,src,scripts,test,bench,demo}/**/*.{sql,ts,tsx}', { cwd: checkout });
  const named = files.flatMap((file) =>
    [...readFileSync(path.join(checkout, file), 'utf8').matchAll(/docs\/adr\/\d{4}[\w.-]*/g)].map(([name]) => ({
      file,
      name,
    })),
  );
  assert.ok(named.length > 20, `${named.length} found`);
  // By its number alone, or as the file.
  const isThere = (name: string) =>
    decisions.some((one) => one === name.replace(/\.$/, '') || one.startsWith(`${name}-`));
  assert.deepEqual(
    named.filter(({ name }) => !isThere(name)),
    [],
  );
});
