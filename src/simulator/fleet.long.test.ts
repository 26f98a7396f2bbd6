import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { commandRequest } from '../protocol/apple/command.ts';
import { buildProfile } from '../protocol/apple/profile.ts';
import { followControl } from './control.ts';
import { startTestFleet, testCommand } from './fleet-fixture.ts';
import { readJournal } from './journal.ts';
import { currentProfiles, summarizeCommands, summarizeRequests } from './journal-summary.ts';
import { testPassword } from './mdm-server-fixture.ts';

const policyProfile = (uuid: string, payloads: readonly string[] = ['com.apple.mobiledevice.passwordpolicy']) =>
  buildProfile({
    identifier: 'test.policy',
    uuid,
    displayName: 'Policy',
    organization: 'Test',
    payloads: payloads.map((type, number) => ({
      type,
      identifier: `test.policy.part-${number}`,
      uuid: `part-${number}`,
      content: {},
    })),
    topLevel: { BrambleRelease: '1.0.0' },
  });

test('a device enrols, takes a policy, and the next policy replaces the first', async (context) => {
  const { fleet, enrol, until, entries } = await startTestFleet(context);
  const { name, at } = await enrol();
  assert.deepEqual(
    at.checkins.map(({ messageType }) => messageType),
    ['Authenticate', 'TokenUpdate'],
  );
  const first = testCommand(commandRequest.installProfile(policyProfile('first')));
  const second = testCommand(commandRequest.installProfile(policyProfile('second')));
  const query = testCommand(commandRequest.deviceInformation(['OSVersion', 'DeviceName', 'TimeZone']));
  at.queue.push(first, second, query);
  fleet.probe(['user-1']);
  await until('answered', (entry) => entry.commandUuid === query.commandUuid);
  const replaced = await until('profile-installed', (entry) => entry.profile.uuid === 'second');
  assert.equal(replaced.replacedUuid, 'first');
  assert.equal(replaced.profile.release, '1.0.0');
  assert.deepEqual(replaced.profile.payloads, [{ type: 'com.apple.mobiledevice.passwordpolicy', name: 'part-0' }]);
  const information =
    at.answers.at(-1)?.status === 'Idle' ? at.answers.findLast((a) => a.status !== 'Idle') : at.answers.at(-1);
  const responses = information?.payload['QueryResponses'] as Record<string, unknown>;
  assert.equal(responses['OSVersion'], '17.5');
  assert.match(String(responses['DeviceName']), /^iPhone /);
  const commands = summarizeCommands(entries);
  assert.equal(commands.size, 3);
  for (const story of commands.values()) {
    assert.deepEqual([story.executed, story.answersAccepted, story.status], [1, 1, 'Acknowledged']);
  }
  assert.equal(currentProfiles(entries).get(name)?.get('test.policy')?.uuid, 'second');
});

test('an agent device says its device software', async (context) => {
  const { enrol } = await startTestFleet(context);
  const { at } = await enrol('agent-3.9');
  assert.equal(at.form.get('platform'), 'agent');
  const [authenticate] = at.checkins;
  assert.ok(authenticate?.messageType === 'Authenticate');
  assert.equal(authenticate.dictionary['DeviceSoftware'], '3.9');
  assert.equal(typeof authenticate.dictionary['AgentVersion'], 'string');
});

test('a wrong activation password is refused, with its code, and is not tried again', async (context) => {
  const { fleet, entries } = await startTestFleet(context);
  const result = await fleet.activate({ account: 'user', password: 'guessed' });
  assert.deepEqual([result.outcome, result.httpStatus, result.code], ['refused', 400, 'ERR_ACTIVATION_REFUSED']);
  assert.equal(entries.filter((entry) => entry.event === 'request').length, 1);
});

test('a lost SCEP reply is asked for again with the same transaction, and a 503 at check-in is only a delay', async (context) => {
  const { server, enrol } = await startTestFleet(context);
  server.fail('scep', 'lost');
  server.fail('checkin', '503', 'lost');
  const { at } = await enrol();
  assert.equal(at.transactions.length, 2);
  assert.equal(at.transactions[0], at.transactions[1]);
  assert.equal(at.checkins.filter(({ messageType }) => messageType === 'Authenticate').length, 2);
});

test('an answer whose reply was lost is sent again before anything else, and executed once', async (context) => {
  const { fleet, server, enrol, until, entries } = await startTestFleet(context);
  const { name, at } = await enrol();
  const lock = testCommand(commandRequest.deviceLock());
  at.queue.push(lock);
  server.onAnswer((_, answer) => {
    const first = at.answers.filter(({ status }) => status !== 'Idle').length === 1;
    if (answer.status === 'Acknowledged' && first) server.fail('connect', '503');
  });
  // The Idle that is told the command passes; its answer is worked on, and the reply to it is lost.
  const told = until('told');
  fleet.setBehaviour({ contactIntervalMs: 1 }, [name]);
  await told;
  fleet.setBehaviour({ contactIntervalMs: 3_600_000 }, [name]);
  await until('answered', (entry) => entry.commandUuid === lock.commandUuid);
  assert.equal(entries.filter((entry) => entry.event === 'locked').length, 1);

  const again = testCommand(commandRequest.profileList());
  at.queue.push(again, again);
  server.fail('connect');
  const wanted = until('told-again', (entry) => entry.commandUuid === again.commandUuid);
  fleet.probe(['user-1']);
  await wanted;
  await until('answered', (entry) => entry.commandUuid === again.commandUuid);
  assert.equal(summarizeCommands(entries).get(again.commandUuid.toLowerCase())?.executed, 1);
});

test('replies that the device loses itself do not count as failures, and change nothing twice', async (context) => {
  const { fleet, enrol, until, entries } = await startTestFleet(context, { behaviour: { lostReplyProbability: 0.5 } });
  const { at } = await enrol();
  const commands = Array.from({ length: 12 }, () => testCommand(commandRequest.deviceLock()));
  at.queue.push(...commands);
  fleet.probe(['user-1']);
  await Promise.all(commands.map(({ commandUuid }) => until('answered', (entry) => entry.commandUuid === commandUuid)));
  for (const { commandUuid } of commands) {
    assert.equal(summarizeCommands(entries).get(commandUuid.toLowerCase())?.executed, 1);
  }
  const requests = summarizeRequests(entries);
  assert.ok((requests.failedByClass['given-up'] ?? 0) > 0);
  assert.equal(requests.failed, 0);
});

test('NotNow lets the command wait for a later contact', async (context) => {
  const { fleet, enrol, until, entries } = await startTestFleet(context, { behaviour: { notNowProbability: 1 } });
  const { name, at } = await enrol();
  const command = testCommand(commandRequest.profileList());
  at.queue.push(command);
  fleet.setBehaviour({ contactIntervalMs: 1 }, [name]);
  await until('answered', (entry) => entry.status === 'NotNow');
  fleet.setBehaviour({ notNowProbability: 0 });
  await until('answered', (entry) => entry.status === 'Acknowledged');
  const story = summarizeCommands(entries).get(command.commandUuid.toLowerCase());
  assert.equal(story?.executed, 1);
  assert.ok((story?.notNow ?? 0) >= 1);
});

test('answers may hold something odd beside Status and CommandUUID, and are read all the same', async (context) => {
  const { fleet, enrol, until } = await startTestFleet(context, { behaviour: { oddAnswerProbability: 1 } });
  const { at } = await enrol();
  const commands = Array.from({ length: 12 }, () => testCommand(commandRequest.deviceLock()));
  at.queue.push(...commands);
  fleet.probe(['user-1']);
  await Promise.all(commands.map(({ commandUuid }) => until('answered', (entry) => entry.commandUuid === commandUuid)));
  const answers = at.answers.filter(({ status }) => status === 'Acknowledged');
  assert.equal(answers.length, commands.length);
  assert.ok(answers.every(({ payload, udid }) => Object.keys(payload).length > 4 || udid === undefined));
});

test('400 is trouble that passes, 401 ends management and counts as a lost device', async (context) => {
  const { fleet, server, enrol, until, entries } = await startTestFleet(context);
  const { name } = await enrol();
  server.fail('connect', '400', '503', '401');
  fleet.setBehaviour({ contactIntervalMs: 1 }, [name]);
  await until('unenrolled');
  await fleet.stop();
  const { failedByClass, lostDevices } = summarizeRequests(entries);
  assert.deepEqual(failedByClass, { identity: 1, unavailable: 1, unenrolled: 1 });
  assert.deepEqual(lostDevices, [name]);
  assert.equal(fleet.devices()[0]?.state, 'left');
});

test('a device whose enrolment profile is removed answers so, and leaves', async (context) => {
  const { fleet, enrol, until } = await startTestFleet(context);
  const { name, at } = await enrol();
  const command = testCommand(commandRequest.removeProfile('test.bramble.enrollment'));
  at.queue.push(command);
  fleet.setBehaviour({ contactIntervalMs: 1 }, [name]);
  const { status } = await until('answered', (entry) => entry.commandUuid === command.commandUuid);
  await fleet.stop();
  assert.deepEqual([status, fleet.devices()[0]?.state], ['Acknowledged', 'left']);
});

test('a device that falls silent with a command leaves it unanswered until it comes back', async (context) => {
  const { fleet, enrol, until, entries } = await startTestFleet(context);
  const { name, at } = await enrol();
  const command = testCommand(commandRequest.profileList());
  at.queue.push(command);
  fleet.vanish([name], 'with-command');
  fleet.probe(['user-1']);
  fleet.setBehaviour({ contactIntervalMs: 1 }, [name]);
  await until('vanished');
  assert.equal(
    entries.some((entry) => entry.event === 'answered'),
    false,
  );
  assert.deepEqual(fleet.comeBack(), [name]);
  await until('answered', (entry) => entry.commandUuid === command.commandUuid);
  assert.equal(summarizeCommands(entries).get(command.commandUuid.toLowerCase())?.executed, 1);
});

test('payloads that a device is too old for and unknown commands are Errors with a chain', async (context) => {
  const { fleet, enrol, until } = await startTestFleet(context);
  const { at } = await enrol('iphone-15.7');
  const relay = testCommand(commandRequest.installProfile(policyProfile('relay', ['com.apple.relay.managed'])));
  const unknown = testCommand({ requestType: 'Dance', fields: {} });
  const formless = testCommand({ requestType: 'RemoveProfile', fields: {} });
  at.queue.push(relay, unknown, formless);
  fleet.probe(['user-1']);
  const last = await until('answered', (entry) => entry.commandUuid === formless.commandUuid);
  assert.equal(last.status, 'CommandFormatError');
  assert.equal((await until('executed', (entry) => entry.commandUuid === relay.commandUuid)).errorCode, 4001);
  assert.equal((await until('executed', (entry) => entry.commandUuid === unknown.commandUuid)).errorCode, 12021);
  const chained = at.answers.find((answer) => answer.status === 'Error');
  assert.equal(chained?.status === 'Error' && chained.errorChain[0]?.errorDomain, 'MCMDMErrorDomain');
});

test('the journal on disk is what was observed, and another process directs the fleet line by line', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'journal-'));
  context.after(() => rm(folder, { recursive: true }));
  const journalPath = join(folder, 'journal.ndjson');
  const { fleet, enrol, entries } = await startTestFleet(context, { journalPath });
  const { name } = await enrol();
  const input = new PassThrough();
  const output = new PassThrough({ encoding: 'utf8' });
  let written = '';
  output.on('data', (chunk: string) => {
    written += chunk;
  });
  const following = followControl(input, output, { fleet, exportDevices: async () => 0 });
  const commands = [
    { do: 'vanish', devices: 1 },
    { do: 'come-back' },
    { do: 'activate', account: 'late', password: testPassword, platform: 'agent' },
    { do: 'tunnel', target: 'host:1' },
    { do: 'nonsense' },
    { do: 'stats' },
    { do: 'stop' },
  ];
  for (const command of commands) input.write(`${JSON.stringify(command)}\n`);
  await following;
  await once(output.end(), 'end');
  const answers = written
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    answers.map(({ done }) => done),
    [true, true, true, false, false, true, true],
  );
  assert.deepEqual(answers[0].devices, [name]);
  assert.equal(answers[2].outcome, 'enrolled');
  assert.equal(answers[3].code, 'ERR_SIMULATOR_NO_TUNNEL_HOST');
  assert.equal(answers[4].code, 'ERR_SIMULATOR_COMMAND');
  assert.equal(answers[5].stats.devices.managed, 2);
  await fleet.stop();
  assert.deepEqual(await readJournal(journalPath), entries);
});
