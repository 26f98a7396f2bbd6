import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { type Authority, createAuthority, issueCertificate, randomSerialHex } from '../../protocol/x509/certificate.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { until } from '../../testing/condition.ts';
import { createPushClient, type PushClientOptions } from './push.ts';
import { pushSettingsSchema } from './push-settings.ts';

interface Received {
  path: string;
  topic: string;
  type: string;
  body: string;
}

type Answer = (stream: http2.ServerHttp2Stream, received: Received, session: http2.ServerHttp2Session) => void;

/** A push service on a real socket that answers as it is told. */
async function startPushService(t: TestContext, answer: Answer, secure?: http2.SecureServerOptions) {
  const received: Received[] = [];
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = secure ? http2.createSecureServer(secure) : http2.createServer();
  server.on('session', (session: http2.ServerHttp2Session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      let body = '';
      stream.setEncoding('utf8');
      stream.on('data', (chunk: string) => {
        body += chunk;
      });
      stream.on('end', () => {
        const one: Received = {
          path: String(headers[':path']),
          topic: String(headers['apns-topic']),
          type: String(headers['apns-push-type']),
          body,
        };
        received.push(one);
        answer(stream, one, session);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { received, url: `${secure ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function startClient(t: TestContext, url: string, options: Partial<PushClientOptions> = {}) {
  const settings = pushSettingsSchema.parse({ url });
  const client = createPushClient({ settings, clock: systemClock, log: silentLogger, ...options });
  t.after(() => client.close());
  return client;
}

const target = { token: Buffer.from('00ff10', 'hex'), pushMagic: 'magic', topic: 'com.apple.mgmt.test' };
const ok: Answer = (stream) => {
  stream.respond({ ':status': 200 });
  stream.end();
};
const status = (code: number, reason: string): Answer => {
  return (stream) => {
    stream.respond({ ':status': code });
    stream.end(JSON.stringify({ reason }));
  };
};

test('a push carries token, topic and magic, over one session for all', async (t) => {
  const service = await startPushService(t, ok);
  const client = startClient(t, service.url, { concurrency: 4 });
  const outcomes = await Promise.all(Array.from({ length: 40 }, () => client.push(target)));
  assert.ok(outcomes.every((outcome) => outcome.outcome === 'sent'));
  assert.deepEqual(service.received[0], {
    path: '/3/device/00ff10',
    topic: 'com.apple.mgmt.test',
    type: 'mdm',
    body: '{"mdm":"magic"}',
  });
  assert.deepEqual(client.counts(), { sent: 40, deadTokens: 0, retryLater: 0, rejected: 0, sessions: 1 });
});

test('no more pushes are under way than the bound', async (t) => {
  let under = 0;
  let most = 0;
  const service = await startPushService(t, (stream, one, session) => {
    under += 1;
    most = Math.max(most, under);
    setImmediate(() => {
      under -= 1;
      ok(stream, one, session);
    });
  });
  const client = startClient(t, service.url, { concurrency: 3 });
  await Promise.all(Array.from({ length: 30 }, () => client.push(target)));
  assert.ok(most <= 3, `${most} at the same time`);
  assert.equal(client.counts().sent, 30);
});

test('a token that is gone is told apart from trouble', async (t) => {
  const gone = startClient(t, (await startPushService(t, status(410, 'Unregistered'))).url);
  assert.equal((await gone.push(target)).outcome, 'unregistered');
  const bad = startClient(t, (await startPushService(t, status(400, 'BadDeviceToken'))).url);
  assert.equal((await bad.push(target)).outcome, 'bad-token');
  assert.equal(bad.pausedForMs(), 0);
  assert.equal(bad.counts().deadTokens, 1);
});

test('being throttled pauses all pushes, longer each time, and a success ends it', async (t) => {
  let code = 429;
  const service = await startPushService(t, (stream, one, session) =>
    status(code, 'TooManyRequests')(stream, one, session),
  );
  let now = 0;
  const clock = { ...systemClock, now: () => now };
  const client = startClient(t, service.url, { clock, backoffMs: 1000 });
  assert.equal((await client.push(target)).outcome, 'retry-later');
  const first = client.pausedForMs();
  assert.ok(first >= 1000 && first <= 1500);
  assert.equal((await client.push(target)).outcome, 'retry-later');
  assert.equal(service.received.length, 1, 'nothing is sent while it is paused');
  now += first;
  code = 503;
  await client.push(target);
  assert.ok(client.pausedForMs() >= 2000);
  now += client.pausedForMs();
  code = 200;
  assert.equal((await client.push(target)).outcome, 'sent');
  assert.equal(client.pausedForMs(), 0);
});

test('after GOAWAY pushes go on over a new session', async (t) => {
  const service = await startPushService(t, (stream, one, session) => {
    ok(stream, one, session);
    session.goaway();
  });
  const client = startClient(t, service.url);
  for (let index = 0; index < 3; index += 1) assert.equal((await client.push(target)).outcome, 'sent');
  assert.ok(client.counts().sessions >= 2);
});

test('a session that is cut off in mid-push is tried again once on a fresh one', async (t) => {
  let cut = false;
  const service = await startPushService(t, (stream, one, session) => {
    if (cut) return ok(stream, one, session);
    cut = true;
    session.destroy();
  });
  const client = startClient(t, service.url);
  assert.equal((await client.push(target)).outcome, 'sent');
  assert.equal(client.counts().sessions, 2);
});

test('a push service that is not there means later', async (t) => {
  const client = startClient(t, 'http://127.0.0.1:1');
  assert.equal((await client.push(target)).outcome, 'retry-later');
  assert.ok(client.pausedForMs() > 0);
});

test('a push service that says nothing is given up at the deadline', async (t) => {
  const service = await startPushService(t, () => undefined);
  const client = startClient(t, service.url, { requestTimeoutMs: 300 });
  assert.equal((await client.push(target)).outcome, 'retry-later');
  await until('both tries have arrived', 20_000, async () => service.received.length === 2);
});

/** A key with its certificate, as PEM. */
async function issued(authority: Authority, usage: 'client' | 'server') {
  const { privateKey, publicKey } = await createEcKeyPair();
  const der = issueCertificate({
    authority,
    publicKey: { spkiDer: spkiDerOf(publicKey) },
    subject: { commonName: 'push' },
    days: 1,
    serialHex: randomSerialHex(),
    usage,
    ipAddresses: ['127.0.0.1'],
  });
  return { cert: pem(der), key: privateKeyPemOf(privateKey) };
}

function pem(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`;
}

test('the push certificate is shown, and only a push service of the given authority is trusted', async (t) => {
  const options = { commonName: 'authority', algorithm: 'EC-P256', days: 1 } as const;
  const [authority, stranger] = await Promise.all([createAuthority(options), createAuthority(options)]);
  const own = await issued(authority, 'client');
  const secure = {
    ...(await issued(authority, 'server')),
    ca: pem(authority.certificateDer),
    requestCert: true,
    rejectUnauthorized: true,
  };
  const service = await startPushService(t, ok, secure);
  const client = (ca: Authority, identity: { cert: string; key: string } | undefined) =>
    startClient(t, service.url, {
      settings: pushSettingsSchema.parse({
        url: service.url,
        caPem: pem(ca.certificateDer),
        certificatePem: identity?.cert,
        privateKeyPem: identity?.key,
      }),
    });
  assert.equal((await client(authority, own).push(target)).outcome, 'sent');
  assert.equal((await client(stranger, own).push(target)).outcome, 'retry-later');
  assert.equal((await client(authority, undefined).push(target)).outcome, 'retry-later');
  assert.equal(service.received.length, 1);
});

test('an address that is not http is refused', () => {
  assert.throws(() => pushSettingsSchema.parse({ url: 'ftp://example.com' }));
  assert.equal(pushSettingsSchema.parse({}).url, 'https://api.push.apple.com');
});
