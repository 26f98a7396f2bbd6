import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { after, test } from 'node:test';
import { until } from '../../testing/condition.ts';
import { accountBatches } from './account-import-stream.ts';
import { startAdministration } from './administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

function beginImport(token = admin.token): ClientRequest {
  const sending = request(`${admin.url}/api/v1/accounts/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
  });
  sending.on('error', () => {});
  return sending;
}

async function answerOf(sending: ClientRequest): Promise<{ status: number | undefined; body: unknown }> {
  const [response] = (await once(sending, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode, body: JSON.parse(Buffer.concat(chunks).toString()) };
}

const line = (name: string): string => `${JSON.stringify({ name })}\n`;
/** The line, and lines with nothing but blanks after it. */
const mebibyteOf = (first: string): string => first + `${' '.repeat(60 * 1024)}\n`.repeat(18);

/** Whether an administration transaction holds the release lock (shared, class 'bram', number 1) just now. */
async function lockHeld(): Promise<boolean> {
  const rows = await admin.db`
    select 1 from pg_locks where locktype = 'advisory' and classid = ${0x6272616d} and objid = 1 and mode = 'ShareLock'
       and database = (select oid from pg_database where datname = current_database())`;
  return rows.length > 0;
}

async function writesOpen(): Promise<boolean> {
  const rows = await admin.db`
    select 1 from pg_stat_activity
     where datname = current_database() and state = 'idle in transaction' and backend_xid is not null`;
  return rows.length > 0;
}

const countOf = async (pattern: string): Promise<number> =>
  (await admin.db`select 1 from account where name like ${pattern}`).length;

test('rows are written while the client is still sending, and stand only when the stream has ended', async () => {
  const sending = beginImport();
  sending.write(line('kept-1') + line('kept-2'));
  await until('rows are written', 60_000, writesOpen);
  assert.equal(await lockHeld(), true);
  assert.equal(await countOf('kept-%'), 0);
  sending.end(line('kept-3') + JSON.stringify({ name: 'kept-1' }));
  const { status, body } = await answerOf(sending);
  assert.equal(status, 200);
  assert.deepEqual(body, { created: 3, skipped: [{ name: 'kept-1', reason: 'name-taken' }] });
  assert.equal(await countOf('kept-%'), 3);
});

test('a client that goes away in the middle leaves nothing and gives the release lock back', async () => {
  const sending = beginImport();
  sending.write(line('lost-1'));
  await until('rows are written', 60_000, writesOpen);
  sending.destroy();
  await until('the release lock is free', 60_000, async () => !(await lockHeld()));
  assert.equal(await countOf('lost-%'), 0);
});

test('an import whose token was revoked on the way is refused at its next rows, and nothing of it stands', async () => {
  const { body } = await admin.call('POST', '/tokens', { name: 'importer', role: 'enterprise' });
  const sending = beginImport((body as { token: string }).token);
  sending.write(line('revoked-1'));
  await until('rows are written', 60_000, writesOpen);
  const answer = answerOf(sending);
  assert.equal((await admin.call('DELETE', '/tokens/importer')).status, 204);
  sending.write(line('revoked-2'));
  assert.equal((await answer).status, 401);
  assert.equal(await countOf('revoked-%'), 0);
});

test('a token has one import at a time, and leaves the other place to others', async () => {
  const { body } = await admin.call('POST', '/tokens', { name: 'second-importer' });
  const first = beginImport();
  first.write(line('alone-1'));
  await until('rows are written', 60_000, writesOpen);
  const refused = beginImport();
  refused.end(line('alone-2'));
  const { status, body: problem } = await answerOf(refused);
  assert.deepEqual([status, (problem as { code: string }).code], [429, 'ERR_BUSY']);
  const others = beginImport((body as { token: string }).token);
  others.end(line('alone-3'));
  assert.equal((await answerOf(others)).status, 200);
  first.end();
  assert.equal((await answerOf(first)).status, 200);
  assert.equal(await countOf('alone-%'), 2);
});

test('an import whose transaction was ended by the release fence answers 503, and nothing of it stands', async () => {
  const sending = beginImport();
  sending.write(line('fenced-1'));
  await until('rows are written', 60_000, writesOpen);
  const answer = answerOf(sending);
  await admin.db`
    select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and backend_xid is not null and pid <> pg_backend_pid()`;
  const { status, body } = await answer;
  assert.deepEqual([status, (body as { code: string }).code], [503, 'ERR_DATABASE_UNAVAILABLE']);
  sending.end(line('fenced-2'));
  assert.equal(await countOf('fenced-%'), 0);
  // Connections that were ended beside it are found out by their next statement.
  await until('the service answers', 60_000, async () => (await admin.call('GET', '/status')).status === 200);
});

test('a client that stops in the middle is answered 408, and the release lock is free', {
  timeout: 120_000,
}, async () => {
  const impatient = await startAdministration({ bodyPatience: { graceMs: 2000, bytesPerSecond: 1024 } });
  try {
    const stopped: [string, string, string][] = [
      ['/accounts/import', 'application/x-ndjson', line('stopped-1')],
      // However much came before.
      ['/accounts/import', 'application/x-ndjson', mebibyteOf(line('stopped-1'))],
      // Nothing is held while JSON is read, but for a connection.
      ['/groups', 'application/json', '{"name":'],
    ];
    for (const [path, type, begun] of stopped) {
      const headers = { authorization: `Bearer ${impatient.token}`, 'content-type': type };
      const sending = request(`${impatient.url}/api/v1${path}`, { method: 'POST', headers });
      sending.on('error', () => {});
      sending.write(begun);
      const { status, body } = await answerOf(sending);
      assert.deepEqual([status, (body as { code: string }).code], [408, 'ERR_BODY_TIMEOUT'], path);
      sending.destroy();
    }
    const held = await impatient.db`
      select from pg_locks where locktype = 'advisory' and classid = ${0x6272616d} and objid = 1
         and database = (select oid from pg_database where datname = current_database())`;
    assert.equal(held.length, 0);
    assert.equal((await impatient.call('GET', '/accounts/stopped-1')).status, 404);
    assert.equal((await impatient.call('POST', '/groups', { name: 'after' })).status, 201);
  } finally {
    await impatient.close();
  }
});

test('a line that is not an account undoes the whole import and names the line', async () => {
  const sending = beginImport();
  sending.end(`${line('half-1')}\n{"name":5}\n${line('half-2')}`);
  const { status, body } = await answerOf(sending);
  assert.equal(status, 400);
  assert.deepEqual((body as { details: unknown }).details, { line: 3, field: 'name' });
  assert.equal(await countOf('half-%'), 0);
});

test('bytes that are not UTF-8, half characters and unknown keys are refused with the line, and a mark of the order is taken', async () => {
  const refused: [Buffer, RegExp][] = [
    [Buffer.concat([Buffer.from('{"name":"odd-'), Buffer.from([0xff]), Buffer.from('"}')]), /Line 2 .*not UTF-8/],
    [Buffer.from('{"name":"odd-\\ud800"}'), /Line 2 .*an unpaired surrogate/],
    [Buffer.from('{"name":"odd-1","group":["sales"]}'), /Line 2 .*group is unknown; expected: name.*groups/],
  ];
  for (const [bytes, reason] of refused) {
    const sending = beginImport();
    sending.end(Buffer.concat([Buffer.from(line('odd-0')), bytes]));
    const { status, body } = await answerOf(sending);
    assert.equal(status, 400);
    assert.match((body as { message: string }).message, reason);
  }
  assert.equal(await countOf('odd-%'), 0);
  const sending = beginImport();
  sending.end(`\ufeff${line('odd-bom')}`);
  assert.deepEqual(await answerOf(sending), { status: 200, body: { created: 1, skipped: [] } });
});

test('an import larger than the limit of other bodies passes, a line of more than 64 KiB does not', async () => {
  const large = beginImport();
  const display = 'd'.repeat(190);
  let sent = 0;
  for (let number = 0; number < 6000; number++) {
    const text = `${JSON.stringify({ name: `big-${number}`, displayName: display })}\n`;
    sent += text.length;
    if (!large.write(text)) await once(large, 'drain');
  }
  large.end();
  assert.ok(sent > 1024 * 1024);
  assert.deepEqual(await answerOf(large), { status: 200, body: { created: 6000, skipped: [] } });

  const long = beginImport();
  long.end(line('y'.repeat(70_000)));
  const { status, body } = await answerOf(long);
  assert.equal(status, 413);
  assert.equal((body as { code: string }).code, 'ERR_LINE_TOO_LONG');
});

test('rows are handed on as they come, and 500 at a time at most', async () => {
  async function* chunks() {
    yield Buffer.from(line('a').slice(0, 5));
    yield Buffer.from(line('a').slice(5) + line('b'));
    yield Buffer.from(Array.from({ length: 1200 }, (_, index) => line(`c${index}`)).join(''));
    yield Buffer.from('{"name":"last"}');
  }
  const sizes: number[] = [];
  for await (const batch of accountBatches(chunks())) sizes.push(batch.length);
  assert.deepEqual(sizes, [2, 500, 500, 200, 1]);
});
