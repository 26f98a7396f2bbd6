import assert from 'node:assert/strict';
import { test } from 'node:test';
import postgres from 'postgres';
import { type AccountId, type DeviceId, newId } from '../base/ids.ts';
import { createConnectBatcher } from './connect-batch.ts';
import type { ConnectOutcome, ConnectRequest } from './connect-statement.ts';

const request = (token: string): ConnectRequest => ({
  token,
  fingerprint: 'f',
  status: 'Idle',
  commandId: null,
  answer: null,
  inventory: null,
  options: null,
});
const served = (): ConnectOutcome => ({
  kind: 'served',
  accountId: newId<AccountId>(),
  deviceId: newId<DeviceId>(),
  command: null,
  commandId: null,
});

test('a row that the database refuses fails alone', async () => {
  const batcher = createConnectBatcher({
    send: async (requests) => {
      if (requests.some(({ token }) => token === 'bad')) {
        throw Object.assign(new postgres.PostgresError({ message: 'refused' } as never), { code: '22P05' });
      }
      return requests.map(served);
    },
  });
  const outcomes = await Promise.allSettled(['a', 'bad', 'b'].map((token) => batcher.connect(request(token))));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});

test('a batch whose outcome is unknown is not sent again', async () => {
  let sent = 0;
  const batcher = createConnectBatcher({
    send: async () => {
      sent++;
      throw new Error('the connection was lost');
    },
  });
  await Promise.allSettled(['a', 'b'].map((token) => batcher.connect(request(token))));
  assert.equal(sent, 1);
});

test('one device cannot fill the queue: what is beyond its share is refused, others are served', async () => {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const batcher = createConnectBatcher({
    send: async (requests) => {
      await opened;
      return requests.map(served);
    },
    waitingOfDeviceAtMost: 3,
  });
  const flood = Promise.allSettled(Array.from({ length: 50 }, () => batcher.connect(request('flood'))));
  const other = batcher.connect(request('other'));
  open();
  assert.equal((await other).kind, 'served');
  const refused = (await flood).filter((outcome) => outcome.status === 'rejected');
  assert.ok(refused.length >= 45);
  assert.ok(refused.every((outcome) => outcome.reason.code === 'ERR_OVERLOADED'));
});
