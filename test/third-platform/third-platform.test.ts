/**
 * A third platform behind the port: nothing outside its folder knows it but the line that registers it here. Real router, two
 * instances on their links, PostgreSQL; only the processes around them are left out.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, test } from 'node:test';
import { createToken } from '../../src/access/administrator-tokens.ts';
import { budgetSchema } from '../../src/api/budget.ts';
import type { OperatorCommand } from '../../src/api/device-commands.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { InstanceId } from '../../src/base/ids.ts';
import { createNameLookups } from '../../src/base/name-lookups.ts';
import { createMasterKeys } from '../../src/database/sealed-value.ts';
import { writeBudget } from '../../src/deliveries/budget.ts';
import { oweDeliveries } from '../../src/deliveries/owe-deliveries.ts';
import { createPolicyService } from '../../src/deliveries/policy-service.ts';
import { answerRoutes } from '../../src/devices/route-store.ts';
import { readDomain } from '../../src/domain/domain.ts';
import { writeSetting } from '../../src/domain/settings.ts';
import { signEnvelope } from '../../src/link/signed-envelope.ts';
import { createMoveBatch, moveBatchStatus } from '../../src/moves/batch-store.ts';
import { runMoveRound } from '../../src/moves/move-round-fixture.ts';
import type { MoveRunnerOptions } from '../../src/moves/move-runner.ts';
import { createPlatforms } from '../../src/platforms/port.ts';
import { registeredPlatforms } from '../../src/platforms/registered/platforms.ts';
import { seedPolicies } from '../../src/policies/preconfigured-policies.ts';
import { silentLogger } from '../../src/process/log/logger.ts';
import { administrationServer } from '../../src/processes/administration/administration-server.ts';
import { ask, createStage, nextUp, testComponent } from '../../src/processes/router/router-fixture.ts';
import { createDeviceHandlerFixture } from '../../src/processes/server/device-handler-fixture.ts';
import { ownFeatures } from '../../src/registry/own-release.ts';
import { until } from '../../src/testing/condition.ts';
import { enrolJsonDevice } from './json-device.ts';
import { json } from './platform.ts';

const platforms = createPlatforms([...registeredPlatforms.all, json]);

const linkVersions = [1, 2];
const router = await createStage({ platforms, component: { ...testComponent('router-1'), linkVersions } });
const instances = await createDeviceHandlerFixture({ platforms });
const { fixture } = instances;
const { db, here, there } = fixture;
const elsewhere = await instances.startServer(db, there);
for (const [instance, { serve }] of [
  [here, instances.server],
  [there, elsewhere],
] as const) {
  const link = await router.dial(instance.srpIdentifier, {
    component: { ...testComponent(instance.srpIdentifier), linkVersions },
    handlers: {
      request: (request, response) => serve(request, response, 'link'),
      routes: {
        answer: (question) => answerRoutes(db, question),
        sign: (value) => signEnvelope(value, router.domain.key),
      },
    },
  });
  await nextUp(link);
}
await seedPolicies(db);
await writeSetting(db, 'delivery', { afterMoveSeconds: 0, afterMoveAtMostSeconds: 0 });
const budget = budgetSchema.parse({ perMinuteInstance: 60_000, perMinuteDomain: 60_000 });
await db.begin((tx) => writeBudget(tx, budget, [here.id, there.id]));
const domain = await readDomain(db);
const { release } = domain;
const administration = await administrationServer({
  context: {
    ...{ db, release, platforms, features: ownFeatures, masterKeys: createMasterKeys(), log: silentLogger },
    ...{ name: 'administration', host: 'host', home: '/nowhere', names: createNameLookups() },
  },
});
const token = await createToken(db, 'administrator');
after(async () => {
  await administration.close();
  await router.close();
  await elsewhere.close();
  await instances.close();
});

function policyServiceOf(instance: typeof here) {
  const clock = { ...systemClock, time: Date.now(), now: () => clock.time };
  const wakeClient = json.wakeService.open({
    ...{ log: silentLogger, clock },
    readSetting: async () => ({}),
    openSealed: () => Buffer.alloc(0),
  });
  const service = createPolicyService({
    ...{ db, platforms, clock, log: silentLogger, release: '1.3.0' },
    instance: { ...instance, name: 'instance' },
    domain,
    wakeClients: new Map([[json.name, wakeClient]]),
    identityRenewal: { isActive: async () => false, orders: async () => new Map() },
  });
  return async () => {
    clock.time += 3_600_000;
    for (let turns = 0; turns < 2; turns += 1) await service.tick();
    await service.pushed();
    assert.equal(service.counts().failedSteps, 0);
  };
}

/** As an administrator asks, over REST. */
async function order(deviceId: string, command: OperatorCommand) {
  const answer = await administration.inject({
    ...{ method: 'POST', url: `/api/v1/devices/${deviceId}/commands`, payload: command },
    headers: { authorization: `Bearer ${token}` },
  });
  return { status: answer.statusCode, ...answer.json<{ commandUuid?: string; code?: string; details?: object }>() };
}

test('a platform that only its folder and one line know enrols, gets a policy, answers, is woken, and is moved', {
  timeout: 240_000,
}, async () => {
  const account = await fixture.account();
  const device = await enrolJsonDevice(router, account);
  after(() => device.close());
  const [row] = await db`select platform, state, model, udid from device where token = ${device.token}`;
  assert.deepEqual({ ...row }, { platform: 'json', state: 'active', model: 'tablet', udid: device.name });

  await policyServiceOf(here)();
  assert.deepEqual(device.wakes, ['the secret']);
  const told = await device.work();
  assert.deepEqual(told.map((order) => order.do).sort(), ['policy', 'tell']);
  assert.equal(typeof told.find((order) => order.do === 'policy')?.rules?.['passwordRequired'], 'boolean');
  const open = async () =>
    (await db`select item, state from delivery where account_id = ${account.id} order by owed_at, item`).map(
      (delivery) => `${delivery['item']} ${delivery['state']}`,
    );
  assert.deepEqual((await open()).sort(), ['it-policy done', 'service-books superseded', 'synchronization done']);

  const mover: MoveRunnerOptions = {
    ...{ db, release: '1.1.0', name: 'mover', log: { info: () => {}, warn: () => {} } },
    oweDeliveries: (tx, { accountId, moveId }) =>
      oweDeliveries(tx, platforms, { accountIds: [accountId], cause: 'move', moveId, budgeted: true }),
    drainWindow: async () => 100,
  };
  const { batchId } = await db.begin((tx) =>
    createMoveBatch(tx, {
      ...{ purpose: 'manual', createdBy: 'test' },
      moves: [{ accountId: account.id, toInstanceId: there.id }],
    }),
  );
  await runMoveRound(mover);
  const [owner] = await db<{ id: InstanceId }[]>`select instance_id as id from account where id = ${account.id}`;
  assert.equal(owner?.id, there.id);
  await policyServiceOf(there)();
  assert.deepEqual((await device.work()).map((order) => order.do).sort(), ['policy', 'tell']);
  await until('the move is closed', 60_000, async () => {
    await runMoveRound(mover);
    const status = await moveBatchStatus(db, batchId);
    return status !== 'not-found' && status.state === 'done';
  });
  const [answered] = await db`
      select count(*)::int as commands from command where account_id = ${account.id} and answered_instance = ${there.id}`;
  assert.equal(answered?.['commands'], 2);

  const forged = await device.say(
    'work',
    { status: 'idle' },
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  );
  assert.equal(forged.status, 400);
  assert.equal((await device.say('self', { says: 'goodbye' })).status, 200);
  assert.equal((await device.say('work', { status: 'idle' })).status, 400);
});

test('an administrator’s command reaches a device in its own words, and one that it does not know is refused', {
  timeout: 120_000,
}, async () => {
  const account = await fixture.account();
  const device = await enrolJsonDevice(router, account);
  after(() => device.close());
  const [row] = await db<{ id: string }[]>`select id from device where token = ${device.token}`;
  const deviceId = row?.id ?? '';

  const locked = await order(deviceId, { requestType: 'DeviceLock', message: 'Call us' });
  assert.equal(locked.status, 201);
  const [first] = await device.work();
  assert.deepEqual(first, { id: locked.commandUuid, do: 'lock', text: 'Call us' });
  const [command] = await db`select state, request_type, answer from command where id = ${locked.commandUuid ?? ''}`;
  assert.deepEqual({ ...command }, { state: 'acknowledged', request_type: 'lock', answer: { status: 'done' } });

  const { status, code, details } = await order(deviceId, { requestType: 'RemoveProfile', identifier: 'org.example' });
  assert.deepEqual([status, code], [409, 'ERR_COMMAND_UNSUPPORTED']);
  assert.deepEqual(details, { platform: 'json', requestType: 'RemoveProfile' });
  assert.deepEqual(await device.work(), []);
});

test('no device of a platform that earlier releases do not know is activated before the feature is active', async () => {
  const before = await createDeviceHandlerFixture({ platforms, featuresActive: false });
  after(() => before.close());
  const account = await before.fixture.account();
  const body = JSON.stringify({ account: account.name, password: account.password });
  const answer = await before.ask('/json/enrol', { method: 'POST', body });
  assert.deepEqual([answer.status, answer.code], [503, 'ERR_FEATURE_LOCKED']);
  // Not said to whoever does not know the password: it would tell that the account exists.
  const guess = JSON.stringify({ account: account.name, password: 'h7kqmx-2d9w8r-tnp4c6' });
  const guessed = await before.ask('/json/enrol', { method: 'POST', body: guess });
  assert.deepEqual([guessed.status, guessed.code], [400, 'ERR_ACTIVATION_REFUSED']);
  assert.equal((await before.fixture.db`select 1 from device`).count, 0);
});

test('a request for an identity that cannot be read is refused as the device’s fault, however its protocol fails', async () => {
  const [row] = await db<{ token: string }[]>`select token from device where platform = 'json' limit 1`;
  for (const body of ['{', '{}']) {
    const answer = await ask(router, `/json/${row?.token}/identity`, { method: 'POST', body });
    assert.equal(answer.status, 400, answer.body);
  }
});
