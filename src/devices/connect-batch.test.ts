import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import postgres from 'postgres';
import { type AccountId, type CommandId, type DeviceId, newId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { createConnectBatcher } from './connect-batch.ts';
import type { ConnectRequest } from './connect-request.ts';
import { type ConnectOutcome, connectDevices } from './connect-statement.ts';
import { seedCommand, seedDevice, seedDomain } from './device-fixture.ts';

const request = (token: string): ConnectRequest => ({
  token,
  fingerprint: 'f',
  overTls: true,
  enrolment: 'u',
  status: 'idle',
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
  leaves: false,
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

test('an answer that the database cannot store settles its command without what it held, and others are served', async () => {
  const { url } = await createTestDatabase();
  const db = openDatabase(url, { applicationName: 'test', max: 2 });
  after(async () => await db.end());
  const { here } = await seedDomain(db);
  const devices = [await seedDevice(db, here, 'odd'), await seedDevice(db, here, 'even')];
  const commands: CommandId[] = [];
  for (const device of devices) commands.push((await seedCommand(db, device)).commandId);
  const batcher = createConnectBatcher({ send: (requests) => connectDevices(db, here, requests) });
  const outcomes = await Promise.all(
    devices.map(({ token, fingerprint, enrolment }, index) =>
      batcher.connect({
        ...request(token),
        ...{ fingerprint, enrolment, status: 'done', commandId: commands[index] ?? null },
        answer: { Status: 'Fine', odd: index === 0 ? 'half a pair \ud800, and \u0000' : '' },
        bareAnswer: { Status: 'Fine' },
      }),
    ),
  );
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ['served', 'served'],
  );
  const rows = await db`select state, answer from command order by sequence`;
  assert.deepEqual(
    rows.map((row) => [row['state'], row['answer']]),
    [
      ['acknowledged', { Status: 'Fine', truncated: true }],
      ['acknowledged', { Status: 'Fine', odd: '' }],
    ],
  );
});

test('a batch whose session was lost is sent again as it was, six times in all at most', async () => {
  const lost = Object.assign(new Error('the session was lost'), { code: 'CONNECTION_CLOSED' });
  const sent: string[][] = [];
  let losses = 5;
  const batcher = createConnectBatcher({
    send: async (requests) => {
      sent.push(requests.map(({ token }) => token));
      if (losses-- > 0) throw lost;
      return requests.map(served);
    },
  });
  const connect = () => Promise.allSettled(['a', 'b'].map((token) => batcher.connect(request(token))));
  assert.deepEqual(
    (await connect()).map(({ status }) => status),
    ['fulfilled', 'fulfilled'],
  );
  assert.deepEqual(sent, Array(6).fill(['a', 'b']));
  losses = 6;
  assert.deepEqual(
    (await connect()).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(sent.length, 12);
});

test('a request that a deadlock ended is sent again as it is', async () => {
  const deadlock = Object.assign(new postgres.PostgresError({ message: 'deadlock' } as never), { code: '40P01' });
  let sent = 0;
  const batcher = createConnectBatcher({
    send: async (requests) => {
      if (++sent <= 3) throw deadlock;
      return requests.map(served);
    },
  });
  assert.equal((await batcher.connect(request('a'))).kind, 'served');
  sent = Number.NEGATIVE_INFINITY;
  await assert.rejects(batcher.connect(request('a')), deadlock);
});

test('a refused batch whose database is lost waits for it once, not row by row', async () => {
  const lost = Object.assign(new Error('the session was lost'), { code: 'CONNECTION_CLOSED' });
  const damaged = Object.assign(new postgres.PostgresError({ message: 'damaged' } as never), { code: 'XX001' });
  const sent: string[][] = [];
  const batcher = createConnectBatcher({
    send: async (requests) => {
      sent.push(requests.map(({ token }) => token));
      if (requests.length > 1) throw damaged;
      if (requests.some(({ token }) => token === 'b')) throw lost;
      return requests.map(served);
    },
  });
  const outcomes = await Promise.allSettled(['a', 'b', 'c', 'd'].map((token) => batcher.connect(request(token))));
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : outcome.status)),
    ['fulfilled', lost, lost, lost],
  );
  assert.deepEqual(sent, [['a', 'b', 'c', 'd'], ['a'], ...Array(6).fill(['b'])]);
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
    maxWaitingOfDevice: 3,
  });
  const flood = Promise.allSettled(Array.from({ length: 50 }, () => batcher.connect(request('flood'))));
  const other = batcher.connect(request('other'));
  open();
  assert.equal((await other).kind, 'served');
  const refused = (await flood).filter((outcome) => outcome.status === 'rejected');
  assert.ok(refused.length >= 45);
  assert.ok(refused.every((outcome) => outcome.reason.code === 'ERR_OVERLOADED'));
});

/** A `send` that is answered by hand. */
function handDriven() {
  const sent: { tokens: string[]; answer: (outcome?: ConnectOutcome) => void }[] = [];
  const arrivals: (() => void)[] = [];
  return {
    sent,
    send: (requests: readonly ConnectRequest[]) =>
      new Promise<ConnectOutcome[]>((resolve) => {
        sent.push({
          tokens: requests.map(({ token }) => token),
          answer: (outcome) => resolve(requests.map(() => outcome ?? served())),
        });
        for (const arrived of arrivals.splice(0)) arrived();
      }),
    /** Returns when so many statements were sent. */
    until: async (count: number) => {
      while (sent.length < count) await new Promise<void>((resolve) => arrivals.push(resolve));
    },
  };
}

test('an idle server answers at once, and under load the batches grow', async () => {
  const hand = handDriven();
  const batcher = createConnectBatcher({ send: hand.send, concurrency: 1, batchSize: 10 });
  const first = batcher.connect(request('first'));
  await hand.until(1);
  const others = Array.from({ length: 25 }, (_, n) => batcher.connect(request(`other-${n}`)));
  hand.sent[0]?.answer();
  await first;
  for (const count of [2, 3, 4]) {
    await hand.until(count);
    hand.sent[count - 1]?.answer();
  }
  await Promise.all(others);
  assert.deepEqual(
    hand.sent.map(({ tokens }) => tokens.length),
    [1, 10, 10, 5],
  );
  assert.deepEqual(
    hand.sent.slice(1).flatMap(({ tokens }) => tokens),
    Array.from({ length: 25 }, (_, n) => `other-${n}`),
    'in order of arrival',
  );
});

test('requests of one device are sent one after another, while others pass by', async () => {
  const hand = handDriven();
  const batcher = createConnectBatcher({ send: hand.send });
  const [one, two] = [batcher.connect(request('same')), batcher.connect(request('same'))];
  const other = batcher.connect(request('other'));
  await hand.until(1);
  assert.deepEqual(hand.sent[0]?.tokens, ['same', 'other']);
  hand.sent[0]?.answer();
  await Promise.all([one, other]);
  await hand.until(2);
  assert.deepEqual(hand.sent[1]?.tokens, ['same']);
  hand.sent[1]?.answer();
  await two;
  assert.equal(hand.sent.length, 2);
});

test('a moving account’s request is tried again alone; the others of its batch are answered at once', async () => {
  const tokens: string[][] = [];
  const batcher = createConnectBatcher({
    send: async (requests) => {
      tokens.push(requests.map(({ token }) => token));
      return requests.map(({ token }) => (token === 'moving' && tokens.length < 3 ? { kind: 'moving' } : served()));
    },
  });
  const outcomes = await Promise.all(['moving', 'still'].map((token) => batcher.connect(request(token))));
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ['served', 'served'],
  );
  assert.deepEqual(tokens, [['moving', 'still'], ['moving'], ['moving']]);
});

test('patience with a move has an end', async () => {
  let sent = 0;
  const batcher = createConnectBatcher({
    send: async (requests) => {
      sent++;
      return requests.map(() => ({ kind: 'moving' }));
    },
    movingPatienceMs: 15,
  });
  assert.deepEqual(await batcher.connect(request('moving')), { kind: 'moving' });
  assert.equal(sent, 5, 'after 0, 1, 2, 4 and 8 ms');
});

test('beyond its limit the queue refuses, and serves what it holds', async () => {
  const hand = handDriven();
  const batcher = createConnectBatcher({ send: hand.send, concurrency: 1, maxWaiting: 2 });
  const first = batcher.connect(request('0'));
  await hand.until(1);
  const [one, two] = [batcher.connect(request('1')), batcher.connect(request('2'))];
  await assert.rejects(batcher.connect(request('3')), { code: 'ERR_OVERLOADED' });
  hand.sent[0]?.answer();
  await hand.until(2);
  hand.sent[1]?.answer();
  await Promise.all([first, one, two]);
});

test('a statement that answers too few rows fails those without one, and the lane goes on', async () => {
  const batcher = createConnectBatcher({ send: async (requests) => requests.slice(1).map(served), concurrency: 1 });
  for (let round = 0; round < 2; round++) {
    const [one, two] = await Promise.allSettled(['a', 'b'].map((token) => batcher.connect(request(token))));
    assert.equal(one?.status, 'fulfilled');
    assert.equal(two?.status === 'rejected' && two.reason.code, 'ERR_INTERNAL');
  }
});
