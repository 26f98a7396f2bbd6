import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { newId } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { reportOf } from '../platforms/apple/messages.ts';
import type { ConnectAnswer } from '../protocol/apple/connect.ts';
import type { PlistDictionary, PlistValue } from '../protocol/plist/value.ts';
import { endingWithin } from '../testing/property.ts';
import { connectRequestOf as requestOf } from './connect-request.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 1 });
after(async () => await db.end());

const connectRequestOf = (token: string, by: typeof proven, answer: ConnectAnswer) =>
  requestOf(token, by, reportOf(answer));
const proven = { fingerprint: 'print', overTls: true };

function answered(payload: PlistDictionary, change: { status?: 'Error' | 'NotNow'; commandUuid?: string } = {}) {
  const { status = 'Acknowledged', commandUuid = newId<string>() } = change;
  const answer: ConnectAnswer = { status, commandUuid, udid: 'u', errorChain: [], payload };
  return connectRequestOf('token', proven, answer);
}

test('an idle device brings nothing', () => {
  const idle = connectRequestOf('token', proven, { status: 'Idle', udid: 'u', payload: { QueryResponses: { A: 1 } } });
  const nothing = { commandId: null, answer: null, inventory: null, options: null };
  assert.deepEqual(idle, { token: 'token', ...proven, enrolment: 'u', status: 'idle', ...nothing });
});

test('of the answers to a query the device’s own options are picked, and the rest is inventory', () => {
  const QueryResponses = { DeviceName: 'Anna’s', TimeZone: 'Europe/Berlin', OSVersion: '18.1', BatteryLevel: 0.5 };
  const { inventory, options } = answered({ QueryResponses });
  assert.deepEqual(inventory, QueryResponses);
  assert.deepEqual(options, { DeviceName: 'Anna’s', TimeZone: 'Europe/Berlin' });
  assert.equal(answered({ QueryResponses: { OSVersion: '18.1' } }).options, null);
});

test('only an acknowledged answer says anything of the device', () => {
  for (const status of ['Error', 'NotNow'] as const) {
    const { inventory, options } = answered({ QueryResponses: { DeviceName: 'x' } }, { status });
    assert.deepEqual([inventory, options], [null, null]);
  }
  assert.equal(answered({ QueryResponses: 'text' }).inventory, null);
});

test('a command id is compared in lower case, and what is no UUID names no command', () => {
  const id = newId<string>();
  assert.equal(answered({}, { commandUuid: id.toUpperCase() }).commandId, id);
  for (const commandUuid of ['', 'DeviceInformation', `${id}'`]) {
    assert.equal(answered({}, { commandUuid }).commandId, null);
  }
});

test('data, dates and large integers are kept as text', () => {
  const payload = {
    Data: Buffer.from([0, 255]),
    At: new Date(0),
    Big: 2n ** 63n,
    List: [1n, { Deep: Buffer.from('a') }],
  };
  assert.deepEqual(answered(payload).answer, {
    ...{ Data: 'AP8=', At: '1970-01-01T00:00:00.000Z', Big: '9223372036854775808' },
    List: ['1', { Deep: 'YQ==' }],
  });
});

test('an answer that is too large is kept without its lists, and an error chain that is too large goes too', () => {
  const large = { Status: 'Error', CommandUUID: 'c', ProfileList: Array.from({ length: 9 }, () => 'x'.repeat(9000)) };
  const chain = [{ ErrorCode: 1, ErrorDomain: 'd' }];
  const kept = { Status: 'Error', CommandUUID: 'c', truncated: true };
  assert.deepEqual(answered({ ...large, ErrorChain: chain }).answer, { ...kept, ErrorChain: chain });
  const chains: PlistValue[] = [{ Lists: Array.from({ length: 9 }, () => 'x'.repeat(9000)) }, 'x'.repeat(70_000)];
  assert.deepEqual(answered({ ...large, ErrorChain: chains[0] as PlistValue }).answer, kept);
  assert.deepEqual(answered({ ...large, ErrorChain: chains[1] as PlistValue }).answer, {
    ...kept,
    ErrorChain: 'x'.repeat(16_384),
  });
  const explained = answered({ ...large, ErrorChain: Array.from({ length: 9 }, () => 'x'.repeat(9000)) }).answer;
  assert.equal((explained as { ErrorChain: string[] }).ErrorChain.length, 3, 'the first errors');
});

test('a long text is cut and the answer marked; of an inventory that is too large the facts that fit are kept', () => {
  const chain = [{ ErrorCode: '12', ErrorDomain: 'd', LocalizedDescription: 'x'.repeat(17 * 1024) }];
  assert.deepEqual(answered({ Status: 'Error', ErrorChain: chain }).answer, {
    Status: 'Error',
    ErrorChain: [{ ErrorCode: '12', ErrorDomain: 'd', LocalizedDescription: 'x'.repeat(16 * 1024) }],
    truncated: true,
  });
  const noise = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`Noise${n}`, 'x'.repeat(10_000)]));
  const { inventory, options } = answered({ QueryResponses: { ...noise, DeviceName: 'kept' } });
  assert.equal(Object.keys(inventory ?? {}).length, 27, 'and the small one behind them');
  assert.deepEqual(options, { DeviceName: 'kept' });
});

test('whatever text and names a device sends, the database stores it', async () => {
  const text = fc.string({ unit: 'binary' }).chain((part) => fc.constantFrom(part, `\0${part}`, `${part}\ud800`));
  const value = fc.oneof(text, fc.double(), fc.bigInt(), fc.boolean(), fc.array(text));
  const responses = fc.dictionary(fc.oneof(text, fc.constantFrom('__proto__', 'DeviceName')), value);
  await fc.assert(
    fc.asyncProperty(responses, async (QueryResponses) => {
      const { answer, inventory, options } = answered({ QueryResponses: QueryResponses as PlistDictionary });
      for (const stored of [answer, inventory, options]) {
        await db`select ${stored === null ? null : JSON.stringify(stored)}::text::jsonb`;
      }
    }),
    { numRuns: 60, ...endingWithin() },
  );
});
