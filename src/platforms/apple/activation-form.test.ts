import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBrambleError } from '../../base/errors.ts';
import { parseActivationForm } from './activation-form.ts';

test('an activation names account, password and platform, and says whether the profile is to be signed', () => {
  const parse = (body: string, type = 'application/x-www-form-urlencoded') =>
    parseActivationForm(type, Buffer.from(body));
  assert.deepEqual(parse('account=Ada%40example.org&password=a+b&signed=1'), {
    accountName: 'Ada@example.org',
    password: 'a b',
    platform: 'apple',
    signed: true,
  });
  const form = parse('account=ada&password=b&platform=agent', 'Application/X-WWW-Form-Urlencoded; charset=utf-8');
  assert.deepEqual([form.platform, form.signed], ['agent', false]);
  assert.equal(
    parse('account=ada&password=b&platform=another-one').platform,
    'another-one',
    'whether there is one is the core’s to say',
  );
  for (const body of ['', 'account=ada', 'password=b', 'account=&password=b', 'account=a&password=b&platform=X y']) {
    assert.throws(
      () => parse(body),
      (error) => isBrambleError(error, 'ERR_INPUT'),
      body,
    );
  }
  assert.throws(
    () => parse('account=a&password=b', 'application/json'),
    (error) => isBrambleError(error, 'ERR_CONTENT_TYPE'),
  );
});
