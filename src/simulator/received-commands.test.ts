import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { serializeCommand } from '../protocol/apple/command.ts';
import { type Behaviour, ordinaryBehaviour } from './behaviour.ts';
import { deviceKinds, planDevice } from './fleet-plan.ts';
import type { JournalEvent } from './journal.ts';
import { createReceivedCommands } from './received-commands.ts';
import { seededRandom } from './seeded-random.ts';

const [kind] = deviceKinds;
assert.ok(kind);
const plan = planDevice('seed', 'device-1', kind);

function deviceThat(behaviour: Partial<Behaviour> = {}) {
  const journal: JournalEvent[] = [];
  const commands = createReceivedCommands(
    { profiles: new Map(), options: {}, locked: false, enrolmentProfile: undefined },
    {
      ...{ plan, random: seededRandom('seed') },
      behaviour: () => ({ ...ordinaryBehaviour, notNowProbability: 0, ...behaviour }),
      vanishesWithCommand: () => false,
      renewIdentity: () => Promise.reject(new Error('there is no enrolment profile')),
      journal: (event) => void journal.push(event),
    },
  );
  return { commands, told: () => journal.map(({ event }) => event) };
}

function command(requestType = 'DeviceInformation', commandUuid = randomUUID()): Buffer {
  return serializeCommand({ commandUuid, requestType, fields: { Queries: ['SerialNumber'] } });
}

test('a command that is sent again is answered from memory, whatever the case of its identifier', async () => {
  const { commands, told } = deviceThat();
  const commandUuid = randomUUID();
  const first = await commands.take(command('DeviceInformation', commandUuid));
  assert.ok(typeof first !== 'string');
  assert.equal(first.status, 'Acknowledged');
  assert.equal(
    await commands.take(command('DeviceInformation', commandUuid.toUpperCase() as typeof commandUuid)),
    first,
  );
  assert.deepEqual(told(), ['told', 'executed', 'told-again']);
});

test('what was put off is not remembered: it is executed when it is sent again', async () => {
  const notNow = { notNowProbability: 1 };
  const { commands } = deviceThat(notNow);
  const sent = command();
  const first = await commands.take(sent);
  notNow.notNowProbability = 0;
  const again = await commands.take(sent);
  assert.ok(typeof first !== 'string' && typeof again !== 'string');
  assert.equal(first.status, 'NotNow');
  assert.equal(again.status, 'Acknowledged');
});

test('a command without an identifier cannot be answered', async () => {
  const { commands, told } = deviceThat();
  assert.equal(await commands.take(Buffer.from('<plist></plist>')), 'unanswerable');
  assert.deepEqual(told(), ['trouble']);
});
