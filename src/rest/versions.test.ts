/** What a client is told that names the release it was written for, on a REST server of either side of the fence. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { InjectOptions } from 'fastify';
import { BrambleError } from '../base/errors.ts';
import { createRestServer } from './rest-server.ts';

const release = '1.5.0';
let carriedOut = 0;
const app = createRestServer({
  ...{ maxBodyBytes: 100, release, log: { error: () => undefined } },
  unknownPath: () => new BrambleError('ERR_NOT_FOUND', 'There is nothing.'),
});
after(async () => await app.close());
app.get('/things', async () => ({ things: ['one', 'two'] }));
app.post('/things', async () => {
  carriedOut += 1;
  return {};
});
app.get('/broken', async () => {
  throw new TypeError('a fault');
});

async function ask(asked: InjectOptions, version?: string | string[]) {
  const named = version === undefined ? {} : { 'bramble-version': version as string };
  const answer = await app.inject({ ...asked, headers: { ...asked.headers, ...named } });
  const { code } = answer.json<{ code?: string }>();
  return { status: answer.statusCode, code, body: answer.body, release: answer.headers['bramble-release'] };
}

test('whoever names a release of this major, or none, is answered the same', async () => {
  const plain = await ask({ url: '/things' });
  assert.deepEqual([plain.status, JSON.parse(plain.body)], [200, { things: ['one', 'two'] }]);
  for (const version of ['1.0', '1.4', '1.4.0', '1.5', '1.5.0', '1.9999.9999'])
    assert.deepEqual(await ask({ url: '/things' }, version), plain, version);
});

test('another major is refused before anything is done, whatever is asked', async () => {
  for (const version of ['0.9', '2.0', '2.0.0', '15.0', '9999.1']) {
    const asked: InjectOptions[] = [
      { url: '/things' },
      { method: 'POST', url: '/things', payload: {} },
      { method: 'POST', url: '/things', payload: 'x'.repeat(1000), headers: { 'content-type': 'application/json' } },
      { url: '/nowhere' },
    ];
    for (const one of asked) {
      const { status, code, body } = await ask(one, version);
      assert.deepEqual([status, code], [400, 'ERR_API_VERSION'], `${version} ${one.url}`);
      assert.match(body, /name 1\.x in Bramble-Version, or leave it out/);
    }
  }
  assert.equal(carriedOut, 0);
});

test('what is no number of a release is refused with its name', async () => {
  const odd = ['', ' ', '1', 'v1.5', '1.5.0-rc1', '1.5, 1.6', '1.12345', '١.٥', '1.5\t', ['1.5', '1.5']];
  for (const version of odd) {
    const { status, code, body } = await ask({ url: '/things' }, version);
    assert.deepEqual([status, code], [400, 'ERR_INPUT'], JSON.stringify(version));
    assert.match(body, /bramble-version must be the number of a release/);
  }
});

test('every answer names the release that gives it', async () => {
  const asked: InjectOptions[] = [
    { url: '/things' },
    { url: '/nowhere' },
    { url: '/broken' },
    { url: '/things?%ff' },
    { method: 'POST', url: '/things', payload: 'x', headers: { 'content-type': 'text/xml' } },
    { method: 'POST', url: '/things', payload: 'x'.repeat(1000), headers: { 'content-type': 'application/json' } },
  ];
  for (const one of asked) assert.equal((await ask(one)).release, release, JSON.stringify(one));
  for (const version of ['2.0', 'x']) assert.equal((await ask({ url: '/things' }, version)).release, release);
});
