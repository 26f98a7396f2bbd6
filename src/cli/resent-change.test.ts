/** A change that is lost on the way, or comes too often: `bramble` sends it again by itself, and it is carried out once. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { runBramble } from './command-line-fixture.ts';

const admin = await startAdministration();
/** Hands requests on, and breaks off instead of handing back the answer to the first change. */
let lost = 0;
/** How many changes are refused first, as they come too often. */
let refusals = 0;
const between = createServer(async (request, response) => {
  const { method = 'GET', url = '' } = request;
  const body = await buffer(request);
  if (method !== 'GET' && refusals > 0) {
    refusals -= 1;
    const text = JSON.stringify({ code: 'ERR_RATE_LIMIT', message: 'Too many requests.' });
    response.writeHead(429, { 'retry-after': '0' }).end(text);
    return;
  }
  const headers = Object.entries(request.headers).filter(([name]) => !/^(host|connection|content-length)$/.test(name));
  const answered = await fetch(`${admin.url}${url}`, {
    method,
    headers: headers as [string, string][],
    ...(body.length === 0 ? {} : { body: Uint8Array.from(body) }),
  });
  const text = await answered.text();
  if (method !== 'GET' && lost === 0) {
    lost = answered.status;
    request.socket.destroy();
  } else response.writeHead(answered.status, [...answered.headers].flat()).end(text);
});
await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
after(async () => {
  between.closeAllConnections();
  between.close();
  await admin.close();
});

const url = `http://127.0.0.1:${(between.address() as AddressInfo).port}`;

test('a change whose answer was lost is sent again with its key', async () => {
  const { code, errors } = await runBramble({ ...admin, url }, ['account', 'create', 'ada']);
  assert.deepEqual({ code, errors, lost }, { code: 0, errors: '', lost: 201 });
});

test('a change that comes too often is sent again when the service takes it', async () => {
  refusals = 2;
  const { code, errors } = await runBramble({ ...admin, url }, ['account', 'create', 'eve']);
  assert.deepEqual({ code, errors, refusals }, { code: 0, errors: '', refusals: 0 });
});
