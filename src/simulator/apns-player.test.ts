import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { test } from 'node:test';
import { pushHeaders, pushPath, pushPayload } from '../protocol/apns/push.ts';
import { commandRequest } from '../protocol/apple/command.ts';
import { startTestFleet, testCommand } from './fleet-fixture.ts';
import { testTopic } from './mdm-server-fixture.ts';

interface Push {
  readonly path: string;
  readonly topic: string;
  readonly body: string;
}

async function push(
  url: string,
  ca: string,
  { path, topic, body }: Push,
): Promise<{ status: number; reason?: string }> {
  const session = connect(url, { ca });
  try {
    return await new Promise((resolve, reject) => {
      session.on('error', reject);
      const headers = pushHeaders({ topic, nowMs: Date.now(), ttlSeconds: 60 });
      const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
      let status = 0;
      let text = '';
      stream.on('response', (received) => {
        status = Number(received[':status']);
      });
      stream.on('data', (chunk) => {
        text += chunk;
      });
      stream.on('end', () => resolve({ status, ...(text === '' ? {} : JSON.parse(text)) }));
      stream.on('error', reject);
      stream.end(body);
    });
  } finally {
    session.close();
  }
}

test('a push over HTTP/2 wakes its device, which then connects', async (context) => {
  const { fleet, enrol, until } = await startTestFleet(context);
  const { name, at } = await enrol();
  const tokenUpdate = at.checkins.find((message) => message.messageType === 'TokenUpdate');
  assert.ok(tokenUpdate?.messageType === 'TokenUpdate');
  const command = testCommand(commandRequest.profileList());
  at.queue.push(command);
  const { url, caPem } = fleet.push;
  const good = { path: pushPath(tokenUpdate.token), topic: testTopic, body: pushPayload(tokenUpdate.pushMagic) };
  assert.deepEqual(await push(url, caPem, good), { status: 200 });
  await until('woken', (entry) => entry.device === name);
  await until('answered', (entry) => entry.commandUuid === command.commandUuid);

  assert.deepEqual(await push(url, caPem, { ...good, path: `/3/device/${'00'.repeat(32)}` }), {
    status: 410,
    reason: 'Unregistered',
  });
  assert.deepEqual(await push(url, caPem, { ...good, path: '/3/device/xyz' }), {
    status: 400,
    reason: 'BadDeviceToken',
  });
  assert.equal((await push(url, caPem, { ...good, topic: 'other' })).reason, 'DeviceTokenNotForTopic');
  assert.equal((await push(url, caPem, { ...good, body: '{}' })).reason, 'BadPayload');
  fleet.push.faults.tooManyRequests = 1;
  assert.equal((await push(url, caPem, good)).status, 429);
  fleet.push.faults.tooManyRequests = 0;

  await fleet.renewPushTokens([name]);
  assert.equal((await push(url, caPem, good)).status, 410);
});
