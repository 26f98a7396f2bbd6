/** docs/roles.md says what the program does. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { documentFile, rolesDocument } from './roles-document.ts';

test('docs/roles.md is printed from the table: node scripts/roles-document.ts', () => {
  assert.equal(readFileSync(documentFile, 'utf8'), rolesDocument());
});
