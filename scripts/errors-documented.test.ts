/** Holds `docs/errors.md` against the program: codes are API, so each one is explained, and nothing else is. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { isTestSupport } from './layers/imports.ts';

const checkout = path.dirname(import.meta.dirname);
/** Those of Node's HTTP server begin with ERR_HTTP and are not ours. */
const code = /(?<![A-Z0-9_])ERR_(?!HTTP)[A-Z0-9]+(?:_[A-Z0-9]+)*(?![A-Z0-9_])/g;

test('every error code of the program is explained in docs/errors.md', async () => {
  const documented = await documentedCodes();
  const missing = [...(await programCodes())].filter(([name]) => !documented.has(name));
  assert.deepEqual(missing, []);
});

test('docs/errors.md explains no code that the program does not have', async () => {
  const known = await programCodes();
  const stale = [...(await documentedCodes())].filter((name) => !known.has(name));
  assert.deepEqual(stale, []);
});

test('docs/errors.md explains every code once', async () => {
  const rows = await documentedRows();
  assert.deepEqual(
    rows.filter((name, index) => rows.indexOf(name) !== index),
    [],
  );
});

async function documentedCodes(): Promise<Set<string>> {
  return new Set(await documentedRows());
}

/** The first cell of each table row. */
async function documentedRows(): Promise<string[]> {
  const text = await readFile(path.join(checkout, 'docs', 'errors.md'), 'utf8');
  return [...text.matchAll(/^\| `(ERR_[A-Z0-9_]+)` \|/gm)].map((match) => match[1] ?? '');
}

/** Codes outside of comments, each with a file that has it. */
async function programCodes(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of ['bin/bramble', ...(await sourceFiles())]) {
    for (const line of (await readFile(path.join(checkout, name), 'utf8')).split('\n')) {
      if (/^\s*(?:\/?\*|\/\/)/.test(line)) continue;
      for (const [match] of line.matchAll(code)) if (!found.has(match)) found.set(match, name);
    }
  }
  return found;
}

async function sourceFiles(): Promise<string[]> {
  const entries = await readdir(path.join(checkout, 'src'), { recursive: true });
  return entries
    .map((entry) => `src/${entry.replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith('.ts') && !isTestSupport(name));
}
