import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNever } from './assert-never.ts';
import { systemClock } from './clock.ts';
import { BrambleError, isBrambleError, messageOf } from './errors.ts';
import { isSrpIdentifier, isUuid, newId } from './ids.ts';

test('an error carries its code, its cause and its details', () => {
  const cause = new RangeError('inner');
  const error = new BrambleError('ERR_INPUT', 'what happened', { cause, details: { field: 'name' } });
  assert.equal(error.cause, cause);
  assert.deepEqual(error.details, { field: 'name' });
  assert.deepEqual(new BrambleError('ERR_INPUT', 'no more').details, {});
  assert.ok(!('cause' in new BrambleError('ERR_INPUT', 'no more')));
  assert.ok(isBrambleError(error) && isBrambleError(error, 'ERR_INPUT'));
  assert.ok(!isBrambleError(error, 'ERR_INTERNAL'));
  assert.ok(!isBrambleError(Object.assign(new Error('x'), { code: 'ERR_INPUT' })));
});

test('whatever was thrown has a message', () => {
  assert.equal(messageOf(new Error('text')), 'text');
  assert.equal(messageOf('text'), 'text');
  assert.equal(messageOf(undefined), 'undefined');
});

test('identifiers are told from other text', () => {
  const id = newId<string>();
  assert.ok(isUuid(id) && isUuid(id.toUpperCase()));
  for (const text of ['', `${id}0`, ` ${id}`, `${id}\n`, id.replaceAll('-', ''), `{${id}}`]) {
    assert.ok(!isUuid(text), text);
  }
  assert.ok(isSrpIdentifier('S10000001') && isSrpIdentifier('C99999999'));
  for (const text of ['S1000000', 'S100000011', 's10000001', 'X10000001', 'S10000001\n']) {
    assert.ok(!isSrpIdentifier(text), text);
  }
});

test('a case that no branch takes is a type error that names it', () => {
  assert.throws(() => assertNever({ kind: 'new' } as never), { name: 'TypeError', message: /"kind":"new"/ });
});

test('a sleep ends at once with the reason of its signal', async () => {
  const reason = new BrambleError('ERR_INTERNAL', 'enough');
  const ending = new AbortController();
  const sleep = systemClock.sleep(3_600_000, ending.signal);
  ending.abort(reason);
  await assert.rejects(sleep, (error: Error) => error.name === 'AbortError' && error.cause === reason);
  await systemClock.sleep(0);
  assert.ok(systemClock.now() > 1_700_000_000_000);
});
