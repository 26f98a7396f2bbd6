/** Mail through a real SMTP server on loopback. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import { inTime } from '../testing/condition.ts';
import { sendMail } from './mail.ts';
import { startMailReceiver } from './mail-receiver-fixture.ts';
import type { MailServer } from './mail-server.ts';

const notice = { id: 'id-1', at: new Date(0), kind: 'host-lost', subject: 'b', message: 'Köln is\nlost' };
const never = new AbortController().signal;
const user = { name: 'bramble', password: 'p ä"ss' };
const limited = { timeout: 120_000 };

const serverAt = (port: number, rest: Partial<MailServer> = {}): MailServer => ({
  ...{ host: '127.0.0.1', port, security: 'none', sender: 'bramble@example.org' },
  ...{ username: null, password: null, caPem: null, ...rest },
});
const send = (server: MailServer, options: Partial<Parameters<typeof sendMail>[4]> = {}, to = ['ops@example.org']) =>
  inTime('the attempt ends', 60_000, sendMail(server, to, notice, 'Example', { signal: never, ...options }));

test('one message reaches all addresses, over TLS from the start, as the user that was set', limited, async () => {
  const receiver = await startMailReceiver({ secure: true }, user);
  const server = serverAt(receiver.port, {
    ...{ security: 'tls', caPem: receiver.caPem, username: user.name, password: user.password },
  });
  const outcome = await send(server, {}, ['ops@example.org', 'night@example.org']);
  assert.deepEqual(outcome, { kind: 'delivered', answer: '250 taken' });
  const [mail, ...more] = receiver.received;
  assert.ok(mail);
  assert.deepEqual(more, []);
  assert.deepEqual(
    [mail.from, mail.to, mail.isEncrypted, mail.user],
    ['bramble@example.org', ['ops@example.org', 'night@example.org'], true, 'bramble'],
  );
  assert.match(mail.text, /^Subject: \[Bramble Example\] host-lost b\r$/m);
  assert.match(mail.text, /^Message-ID: <id-1@example\.org>\r$/m);
  assert.match(mail.text, /^Auto-Submitted: auto-generated\r$/m);
  assert.match(mail.text, /K=C3=B6ln is\r\nlost/);
});

test('STARTTLS is insisted on: a server without it gets neither mail nor password', limited, async () => {
  const credentials = { username: user.name, password: user.password };
  const good = await startMailReceiver({}, user);
  const starttls = { security: 'starttls', caPem: good.caPem, ...credentials } as const;
  assert.equal((await send(serverAt(good.port, starttls))).kind, 'delivered');
  assert.deepEqual([good.received[0]?.isEncrypted, good.received[0]?.user], [true, 'bramble']);

  const asked: string[] = [];
  const bare = await startMailReceiver({
    hideSTARTTLS: true,
    disabledCommands: ['STARTTLS'],
    onAuth: (_auth, _session, callback) => {
      asked.push('password');
      callback(null, { user: 'x' });
    },
  });
  const outcome = await send(serverAt(bare.port, { ...starttls, caPem: bare.caPem }));
  assert.equal(outcome.kind, 'failed');
  assert.deepEqual([bare.received, asked], [[], []]);
});

test('a server whose certificate nobody vouches for gets nothing', limited, async () => {
  const receiver = await startMailReceiver({ secure: true });
  const outcome = await send(serverAt(receiver.port, { security: 'tls' }));
  assert.equal(outcome.kind, 'failed');
  assert.match(outcome.answer, /certificate/);
  assert.deepEqual(receiver.received, []);
});

test('a wrong password, and a server that wants none, are said', limited, async () => {
  const receiver = await startMailReceiver({}, user);
  const wrong = { security: 'starttls', caPem: receiver.caPem, username: user.name, password: 'wrong-77' } as const;
  const refused = await send(serverAt(receiver.port, wrong));
  assert.equal(refused.kind, 'failed');
  assert.match(refused.answer, /535/);
  assert.ok(!refused.answer.includes('wrong-77'));

  const open = await startMailReceiver({ disabledCommands: ['AUTH'] });
  const unasked = await send(serverAt(open.port, { ...wrong, caPem: open.caPem }));
  assert.equal(unasked.kind, 'failed');
  assert.deepEqual([receiver.received, open.received], [[], []]);
});

test('addresses that the server refuses are named; if it refuses all, the attempt failed', limited, async () => {
  const receiver = await startMailReceiver({
    onRcptTo: ({ address }, _session, callback) =>
      callback(address.startsWith('gone') ? Object.assign(new Error('no such user'), { responseCode: 550 }) : null),
  });
  const server = serverAt(receiver.port);
  assert.deepEqual(await send(server, {}, ['gone@example.org', 'ops@example.org']), {
    kind: 'delivered',
    answer: '250 taken; refused for gone@example.org',
  });
  const none = await send(server, {}, ['gone@example.org']);
  assert.equal(none.kind, 'failed');
  assert.match(none.answer, /550 no such user/);
});

test('an attempt ends, at a server that says nothing and at one that stops in the middle', limited, async () => {
  const mute = createServer(() => {});
  after(() => mute.close());
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  const { port } = mute.address() as { port: number };
  for (const security of ['none', 'starttls', 'tls'] as const) {
    const outcome = await send(serverAt(port, { security }), { timeoutMs: 300 });
    assert.equal(outcome.kind, 'failed', security);
  }
  const stuck = await startMailReceiver({ onData: () => {} });
  assert.deepEqual(await send(serverAt(stuck.port), { timeoutMs: 300 }), {
    kind: 'failed',
    answer: 'no end within 0.3 seconds',
  });
});

test('an attempt ends at a server that always says one byte more', limited, async (t) => {
  for (const greeting of ['', '220 mail.example.org ESMTP\r\n']) {
    const slow = createServer((socket) => {
      socket.write(greeting);
      const drip = setInterval(() => socket.write('2'), 20);
      socket.on('error', () => {}).on('close', () => clearInterval(drip));
    });
    t.after(() => slow.close());
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    const { port } = slow.address() as { port: number };
    assert.equal((await send(serverAt(port), { timeoutMs: 300 })).kind, 'failed');
  }
});

test('what a host or a domain is named becomes neither a header nor a recipient', limited, async () => {
  const receiver = await startMailReceiver();
  const evil = 'b\r\nBcc: eve@example.net\r\nContent-Type: text/html\r\n\r\n<b>\u202e\0"<eve@example.net>,';
  const outcome = await inTime(
    'the attempt ends',
    60_000,
    sendMail(
      serverAt(receiver.port),
      ['ops@example.org'],
      { ...notice, kind: evil, subject: evil, message: `x\r\n.\r\nMAIL FROM:<eve@example.net>` },
      evil,
      { signal: never },
    ),
  );
  assert.equal(outcome.kind, 'delivered');
  const [mail, ...more] = receiver.received;
  assert.ok(mail);
  assert.deepEqual([mail.to, more], [['ops@example.org'], []]);
  const [head = ''] = mail.text.split('\r\n\r\n');
  const names = [...head.matchAll(/^([\w-]+):/gm)].map(([, name = '']) => name.toLowerCase());
  assert.deepEqual([...new Set(names)].length, names.length, 'a header twice');
  assert.ok(!names.includes('bcc'));
  assert.match(head, /^Content-Type: text\/plain/m);
});

test('who stops delivery gets no outcome', limited, async () => {
  const stop = new AbortController();
  const receiver = await startMailReceiver({ onMailFrom: () => stop.abort() });
  await assert.rejects(send(serverAt(receiver.port), { signal: stop.signal }), { name: 'AbortError' });
});
