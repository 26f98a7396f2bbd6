/**
 * Holds the closed list of error codes against the program and against `docs/errors.md`: codes are API, so each one is raised
 * somewhere and explained once, and nothing else is. The compiler refuses codes that are not on the list.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { errorCodes, isReceivedCode } from '../src/base/error-codes.ts';
import { BrambleError } from '../src/base/errors.ts';
import { errorAnswer } from '../src/rest/http-errors.ts';
import { isTestSupport } from './layers/imports.ts';

const checkout = path.dirname(import.meta.dirname);
/** Those of Node's HTTP server begin with ERR_HTTP and are not ours. */
const code = /(?<![A-Z0-9_])ERR_(?!HTTP)[A-Z0-9]+(?:_[A-Z0-9]+)*(?![A-Z0-9_])/g;
const list = path.join('src', 'base', 'error-codes.ts');
/** The status that a code is answered with, and the command line's exit status: naming a code there raises nothing. */
const statuses = [path.join('src', 'rest', 'http-errors.ts'), path.join('src', 'cli', 'exit-codes.ts')];

const { reserved, ...groups } = errorCodes;
const raised: readonly string[] = Object.values(groups).flat();

test('every error code of the program is on the list', async () => {
  const used = await codesIn((await programFiles()).filter((file) => file !== list));
  assert.deepEqual(
    [...used].filter(([name]) => !raised.includes(name)),
    [],
  );
});

test('every error code of the list is raised somewhere, and no reserved one is', async () => {
  const used = await codesIn((await programFiles()).filter((file) => file !== list && !statuses.includes(file)));
  assert.deepEqual(
    raised.filter((name) => !used.has(name)),
    [],
  );
  assert.deepEqual(
    reserved.filter((name) => used.has(name)),
    [],
  );
});

test('docs/errors.md explains exactly the listed codes, each once, group by group', async () => {
  const documented = await documentedGroups();
  assert.deepEqual(documented, Object.values(errorCodes).map(sorted));
});

test('the documented answer of REST is the one that is given', async () => {
  const { administration, database, processes, releases } = errorCodes;
  const text = await readFile(path.join(checkout, 'docs', 'errors.md'), 'utf8');
  const documented = new Map(
    [...text.matchAll(/^\| `(ERR_[A-Z0-9_]+)` \| ([^|]*) \|/gm)].map(([, name, answer]) => [name, answer]),
  );
  for (const name of [...administration, ...database, ...processes, ...releases]) {
    const { status } = errorAnswer(new BrambleError(name, ''));
    // One that no status is given for is a fault of the service, if it reaches REST at all.
    const expected = status === 500 ? ['500', '–'] : [String(status)];
    assert.ok(expected.includes(documented.get(name) ?? ''), `${name}: ${documented.get(name)}, not ${status}`);
  }
});

test('the list has each code once, in the form that other releases take for one', () => {
  const all: readonly string[] = Object.values(errorCodes).flat();
  assert.deepEqual(
    all.filter((name, index) => all.indexOf(name) !== index),
    [],
  );
  assert.ok(all.every(isReceivedCode));
});

/** The codes of each table, by the sections that have one. */
async function documentedGroups(): Promise<string[][]> {
  const text = await readFile(path.join(checkout, 'docs', 'errors.md'), 'utf8');
  return text
    .split(/^## /m)
    .map((section) => [...section.matchAll(/^\| `(ERR_[A-Z0-9_]+)` \|/gm)].map((match) => match[1] ?? ''))
    .filter((names) => names.length > 0)
    .map(sorted);
}

function sorted(names: readonly string[]): string[] {
  return [...names].sort();
}

/** Codes outside of comments, each with a file that has it. */
async function codesIn(files: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of files) {
    for (const line of (await readFile(path.join(checkout, name), 'utf8')).split('\n')) {
      if (/^\s*(?:\/?\*|\/\/)/.test(line)) continue;
      for (const [match] of line.matchAll(code)) if (!found.has(match)) found.set(match, name);
    }
  }
  return found;
}

async function programFiles(): Promise<string[]> {
  const entries = await readdir(path.join(checkout, 'src'), { recursive: true });
  const sources = entries.map((entry) => path.join('src', entry));
  return ['bin/bramble', ...sources.filter((name) => name.endsWith('.ts') && !isTestSupport(name))];
}
