/** What `npm ci` installs is what was locked, on every platform: each entry says what its bytes are, and none where they lie. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

interface Entry {
  integrity?: string;
  resolved?: string;
}

const file = path.join(path.dirname(import.meta.dirname), 'package-lock.json');

test('every entry of the lock file has an integrity value, those of other platforms too, and none a download address', async () => {
  const { packages } = JSON.parse(await readFile(file, 'utf8')) as { packages: Readonly<Record<string, Entry>> };
  // The entry without a name is this package itself.
  const entries = Object.entries(packages).filter(([name]) => name !== '');
  assert.ok(entries.length > 100, `only ${entries.length} entries were read`);
  const without = entries.filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''));
  assert.deepEqual(
    without.map(([name]) => name),
    [],
  );
  assert.deepEqual(
    entries.filter(([, { resolved }]) => resolved !== undefined).map(([name]) => name),
    [],
  );
});
