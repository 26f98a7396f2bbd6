import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import { isBrambleError } from '../base/errors.ts';
import { createLoopbackCertificate } from '../simulator/loopback-certificate.ts';
import { inTime } from '../testing/condition.ts';
import { postWebhook, webhookAddress } from './webhook.ts';
import { startWebhookReceiver } from './webhook-receiver-fixture.ts';

const key = `whsec_${'A'.repeat(44)}`;
const notice = { id: 'id-1', at: new Date(0), kind: 'host-lost', subject: 'b', message: 'lost' };
const never = new AbortController().signal;
const limited = { timeout: 120_000 };

const receiver = await startWebhookReceiver();
const post = (url = receiver.url, options: Partial<Parameters<typeof postWebhook>[3]> = {}) =>
  inTime('the attempt ends', 60_000, postWebhook({ url, key }, notice, 'Example', { signal: never, ...options }));

test('a redirect is a failure, and is not followed', async () => {
  const elsewhere = await startWebhookReceiver();
  receiver.answer = (response) => void response.writeHead(307, { location: elsewhere.url }).end();
  assert.deepEqual(await post(), {
    kind: 'failed',
    answer: '307 Temporary Redirect: a redirect, which is not followed',
  });
  assert.equal(elsewhere.received.length, 0);
});

test('of an answer without end only the beginning is read', limited, async () => {
  receiver.answer = (response) => {
    response.writeHead(200);
    const write = () => {
      while (response.write('x'.repeat(10_000)));
      response.once('drain', write);
    };
    write();
  };
  assert.deepEqual(await post(), { kind: 'delivered', answer: `200 OK: ${'x'.repeat(200)}` });
});

test('the host’s name is looked up within the time of the attempt, by whoever bounds lookups', limited, async () => {
  receiver.answer = (response) => void response.writeHead(204).end();
  const named = receiver.url.replace('127.0.0.1', 'localhost');
  const asked: string[] = [];
  const find = async (name: string) => {
    asked.push(name);
    return [{ address: '127.0.0.1', family: 4 }];
  };
  assert.deepEqual(await post(named, { find }), { kind: 'delivered', answer: '204 No Content' });
  assert.deepEqual(asked, ['localhost']);
  const silent = (_: string, signal: AbortSignal) =>
    new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const late = { kind: 'failed', answer: 'no answer within 0.3 seconds' };
  assert.deepEqual(await post(named, { find: silent, timeoutMs: 300 }), late);
  assert.match((await post(named, { find: async () => [] })).answer, /localhost has no address/);
});

test('an answer that breaks off after its status counts', limited, async () => {
  receiver.answer = (response) => {
    response.writeHead(202, { 'content-length': '100' });
    response.write('begun', () => response.destroy());
  };
  assert.deepEqual(await post(), { kind: 'delivered', answer: '202 Accepted: begun' });
});

test('an attempt ends, whether the other side says nothing or never ends saying something', limited, async () => {
  receiver.answer = () => {};
  const none = { kind: 'failed', answer: 'no answer within 0.3 seconds' };
  assert.deepEqual(await post(receiver.url, { timeoutMs: 300 }), none);
  receiver.answer = (response) => void response.writeHead(200).write('begun');
  assert.deepEqual(await post(receiver.url, { timeoutMs: 300 }), { kind: 'delivered', answer: '200 OK: begun' });
  const mute = createServer(() => {});
  after(() => mute.close());
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  const { port } = mute.address() as { port: number };
  assert.deepEqual(await post(`https://127.0.0.1:${port}/`, { timeoutMs: 300 }), none);
});

test('who stops delivery gets no outcome', async () => {
  const stop = new AbortController();
  receiver.answer = () => stop.abort();
  await assert.rejects(post(receiver.url, { signal: stop.signal }), { name: 'AbortError' });
});

test('the other side says when to come again, within limits', async () => {
  const retryAfter = async (value: string) => {
    receiver.answer = (response) => void response.writeHead(429, { 'retry-after': value }).end();
    const outcome = await post();
    return outcome.kind === 'failed' ? outcome.retryAfterMs : 'delivered';
  };
  assert.deepEqual(
    [await retryAfter('7'), await retryAfter('99999999'), await retryAfter('Thu, 01 Jan 1970 00:00:00 GMT')],
    [7000, 3_600_000, 0],
  );
  assert.equal(await retryAfter('soon'), undefined);
});

test('over TLS only a receiver that the target’s CA vouches for is told', limited, async () => {
  const { keyPem, certificatePem, caPem } = await createLoopbackCertificate('hooks');
  const secure = await startWebhookReceiver({ key: keyPem, cert: certificatePem });
  const told = (ca: { caPem?: string }) =>
    postWebhook({ url: secure.url, key, ...ca }, notice, 'Example', { signal: never });
  const refused = await told({});
  assert.equal(refused.kind, 'failed');
  assert.match(refused.answer, /certificate/);
  assert.equal(secure.received.length, 0);
  assert.deepEqual(await told({ caPem }), { kind: 'delivered', answer: '204 No Content' });
  assert.equal(secure.received[0]?.json.data.message, 'lost');
});

test('what cannot be reached says why, without the path', async () => {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const { port } = closed.address() as { port: number };
  await new Promise<void>((resolve) => void closed.close(() => resolve()));
  assert.deepEqual(await post(`http://127.0.0.1:${port}/secret`), {
    kind: 'failed',
    answer: `connect ECONNREFUSED 127.0.0.1:${port}`,
  });
});

test('a URL is https, or of this machine; without a password; and its path is not shown', () => {
  assert.deepEqual(webhookAddress('https://Hooks.example.org/T0/secret?x=1#part'), {
    url: 'https://hooks.example.org/T0/secret?x=1',
    address: 'https://hooks.example.org/…',
    host: 'hooks.example.org',
  });
  assert.equal(webhookAddress('http://localhost:9093').address, 'http://localhost:9093');
  const refused = [
    'hooks',
    'http://hooks.example.org',
    'ftp://localhost',
    'https://u@example.org',
    'https://u:p@example.org',
  ];
  // Where clouds keep their credentials, in several spellings: without TLS, so never reached.
  const metadata = [
    '169.254.169.254',
    '[::ffff:169.254.169.254]',
    '[fd00:ec2::254]',
    '2852039166',
    'metadata.google.internal',
  ];
  const disguised = ['localhost.example.org', '127.0.0.1.example.org', '127.0.0.1@169.254.169.254', '0.0.0.0', '[::]'];
  const others = [...metadata, ...disguised].map((host) => `http://${host}/latest/meta-data`);
  for (const url of [...refused, ...others, 'file:///etc/passwd']) {
    assert.throws(
      () => webhookAddress(url),
      (error) => isBrambleError(error, 'ERR_INPUT'),
      url,
    );
  }
});
