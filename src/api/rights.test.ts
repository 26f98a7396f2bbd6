/** The table of rights as a whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Operation } from './operation.ts';
import { resources } from './operations.ts';
import { allRights, rightsOf, rolesWith } from './rights.ts';

const operations = Object.values(resources).flatMap((resource) => Object.values<Operation>(resource));

test('security may do everything; a junior helpdesk nothing that the senior may not', () => {
  assert.deepEqual(rightsOf('security'), allRights);
  const senior = rightsOf('senior-helpdesk');
  assert.deepEqual(
    rightsOf('junior-helpdesk').filter((right) => !senior.includes(right)),
    [],
  );
});

test('every right is taken by an operation', () => {
  const taken = new Set<string>(operations.flatMap(({ right, furtherRight = right }) => [right, furtherRight]));
  assert.deepEqual(
    allRights.filter((right) => !taken.has(right)),
    [],
  );
});

test('what gives away everything else is for security alone', () => {
  for (const right of ['hosts.invite', 'keys.write', 'releases.trust', 'access.write', 'audit.write'] as const) {
    assert.deepEqual(rolesWith(right), ['security'], right);
  }
});

test('only the description and sign-in are answered to anybody', () => {
  assert.deepEqual(
    operations.filter(({ right }) => right === 'open').map(({ path }) => path),
    [
      '/openapi.json',
      '/sign-in/openid',
      '/sign-in/openid/return',
      '/sign-in/passkey/options',
      '/sign-in/passkey',
      '/sign-in',
      '/sign-in',
      '/sign-in/totp',
      '/sign-in/code/look',
      '/sign-in/code',
    ],
  );
});

test('what reads takes a right to read, what changes one to change', () => {
  for (const { method, path, right } of operations.filter((operation) => operation.right.includes('.'))) {
    assert.equal(right.endsWith('.read'), method === 'GET', `${method} ${path}`);
  }
});
