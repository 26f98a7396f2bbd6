import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedValues, operationText, subjectsOf } from './audit-words.ts';

test('an update shows each value before and after, an insert and a delete one side', () => {
  assert.deepEqual(
    changedValues('update account', { changes: [{ name: ['ada', 'eve'], options: [null, { a: 1 }] }] }),
    [
      { name: 'name', before: 'ada', after: 'eve' },
      { name: 'options', before: '–', after: '{"a":1}' },
    ],
  );
  assert.deepEqual(changedValues('insert account', { changes: [{ name: 'ada', groups: ['x', 'y'] }] }), [
    { name: 'name', before: '', after: 'ada' },
    { name: 'groups', before: '', after: '["x","y"]' },
  ]);
  assert.deepEqual(changedValues('delete account', { changes: [{ name: 'ada' }] }), [
    { name: 'name', before: 'ada', after: '' },
  ]);
});

test('several rows are told apart, and what is no list of rows shows nothing', () => {
  const names = changedValues('insert account', { changes: [{ name: 'ada' }, { name: 'eve' }] }).map(
    ({ name }) => name,
  );
  assert.deepEqual(names, ['1. name', '2. name']);
  assert.deepEqual(changedValues('insert account', { rows: 5000, digest: 'abc' }), []);
  assert.deepEqual(changedValues('insert account', { changes: ['ada', null] }), []);
});

test('an operation is named by its summary, a table in words, and what a later release does as it is recorded', () => {
  assert.equal(operationText('POST /accounts'), 'Create an account');
  assert.equal(operationText('update account_group'), 'Changed: account group');
  assert.equal(operationText('sign-in refused'), 'sign-in refused');
  assert.equal(operationText('POST /later_things'), 'POST /later_things');
});

test('an entry is about what its operation names, or else about what it changed, in a few words', () => {
  const change = (...subjects: string[]) => ({ operation: 'insert account', subjects, subjectCount: 1, detail: {} });
  assert.equal(subjectsOf({ subjects: ['ada'], changes: [change('eve')] }), 'ada');
  assert.equal(subjectsOf({ subjects: [], changes: [change('ada', 'one'), change('ada')] }), 'ada, one');
  assert.equal(subjectsOf({ subjects: ['a', 'b', 'c', 'd', 'e'], changes: [] }), 'a, b, c and 2 more');
  assert.equal(subjectsOf({ subjects: [], changes: [] }), '');
});
