/** What an instance keeps and tells beside device requests: samples, routes, the revocation list. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, test } from 'node:test';
import { type AccountId, newId } from '../../base/ids.ts';
import { openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { seedDevice, seedDomain } from '../../devices/device-fixture.ts';
import { answerRoutes } from '../../devices/route-store.ts';
import { insertStatement } from '../../domain/other-domain-authority.ts';
import { readAllowedHosts } from '../../instances/allowed-hosts-store.ts';
import { createConnectionService } from '../../instances/connection-services.ts';
import { createInstance } from '../../instances/instances.ts';
import { storeSignedRevocationList } from '../../instances/srp-credential-store.ts';
import { maxRouteQuestions } from '../../link/messages.ts';
import { signRoutes } from '../../link/signed-envelope.ts';
import { createRequestSamples } from '../../measurements/request-samples.ts';
import { authorizeTunnels, readHostsElsewhere } from '../connection/served-devices.ts';
import { createRevocationFeed } from './revocation-feed.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
const { here, there } = await seedDomain(db);
after(async () => await db.end());
const limited = { timeout: 20_000 };

const service = async (name: string, instance: string) => {
  const created = await db.begin((tx) =>
    createConnectionService(tx, { name, instances: [instance], allowedHosts: ['a.test:443'] }),
  );
  assert.ok(created.kind === 'created');
  return created.service.srpIdentifier;
};
const serviceHere = await service('service-here', 'here');
const serviceThere = await service('service-there', 'there');

const authorizationOf = async (service: string, fingerprint: string) =>
  (await authorizeTunnels(db, service, [fingerprint])).get(fingerprint);

test('samples add up in the database’s bucket of now, per account, and a failure counts', limited, async () => {
  const [one, two] = [newId<AccountId>(), newId<AccountId>()];
  const samples = createRequestSamples(here);
  samples.add(one, 5, false);
  samples.add(one, 15, true);
  samples.add(two, 1, false);
  await samples.flush(db);
  samples.add(one, 10, false);
  await samples.flush(db);
  await samples.flush(db);
  const rows = await db`
    select account_id, sum(requests)::int as requests, sum(errors)::int as errors, sum(latency_ms_sum) as sum,
           max(latency_ms_max) as max, bool_and(bucket = date_bin('10 seconds', bucket, 'epoch')) as aligned
      from request_sample where instance_id = ${here} group by account_id order by 2 desc`;
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    [
      { account_id: one, requests: 3, errors: 1, sum: 30, max: 15, aligned: true },
      { account_id: two, requests: 1, errors: 0, sum: 1, max: 1, aligned: true },
    ],
  );
});

test(
  'every question about a device has an answer: its owner with the connection services, or nobody',
  limited,
  async () => {
    const [mine, other, gone] = [
      await seedDevice(db, here, 'mine'),
      await seedDevice(db, there, 'other'),
      await seedDevice(db, here, 'gone'),
    ];
    await db`update device set state = 'gone' where id = ${gone.deviceId}`;
    const [ownerHere, ownerThere, nobody] = [
      { identifier: 'S10000001', connectionServices: [serviceHere] },
      { identifier: 'S10000002', connectionServices: [serviceThere] },
      { identifier: null, connectionServices: [] },
    ];
    // Nobody opens a tunnel by a token.
    const byToken = { connectionServices: [] };
    const question = {
      nonce: 'n',
      tokens: [other.token, 'unknown', mine.token, gone.token, mine.token],
      certificates: [gone.fingerprint, mine.fingerprint, 'unknown'],
    };
    assert.deepEqual(await answerRoutes(db, question as never), [
      { token: other.token, ...ownerThere, ...byToken },
      { token: 'unknown', ...nobody },
      { token: mine.token, ...ownerHere, ...byToken },
      // Its owner tells the device that it is not enrolled any more.
      { token: gone.token, ...ownerHere, ...byToken },
      { token: mine.token, ...ownerHere, ...byToken },
      { certificate: gone.fingerprint, ...nobody },
      { certificate: mine.fingerprint, ...ownerHere },
      { certificate: 'unknown', ...nobody },
    ]);
  },
);

test(
  'a connection service of several instances serves them all, and routes name it in the order of names',
  limited,
  async () => {
    const created = await db.begin((tx) =>
      createConnectionService(tx, { name: 'a-shared', instances: ['here', 'there'], allowedHosts: [] }),
    );
    assert.ok(created.kind === 'created');
    const shared = created.service.srpIdentifier;
    const devices = [await seedDevice(db, here, 'shared-here'), await seedDevice(db, there, 'shared-there')];
    for (const { fingerprint } of devices) assert.equal(await authorizationOf(shared, fingerprint), 'allowed');
    const question = { nonce: 'n', tokens: [], certificates: devices.map(({ fingerprint }) => fingerprint) };
    const answers = await answerRoutes(db, question as never);
    assert.deepEqual(
      answers.map(({ connectionServices }) => connectionServices),
      [
        [shared, serviceHere],
        [shared, serviceThere],
      ],
    );
  },
);

test(
  'the largest answer about routes is one that a router takes, and names services for each certificate',
  limited,
  async () => {
    const crowded = await db.begin((tx) => createInstance(tx, { name: 'crowded' }));
    assert.ok(crowded.kind === 'created');
    for (let count = 0; count < 64; count += 1) {
      await db.begin((tx) =>
        createConnectionService(tx, { name: `crowded-${count}`, instances: ['crowded'], allowedHosts: [] }),
      );
    }
    const { deviceId } = await seedDevice(db, crowded.id, 'crowded');
    const device = { token: 't'.repeat(43), fingerprint: 'f'.repeat(64) };
    await db`
    update device set token = ${device.token}, identity_fingerprint = ${device.fingerprint} where id = ${deviceId}`;
    const question = (tokens: number, certificates: number) => ({
      nonce: 'n'.repeat(128),
      tokens: Array.from({ length: tokens }, () => device.token),
      certificates: Array.from({ length: certificates }, () => device.fingerprint),
    });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    for (const [tokens, certificates, named] of [
      [0, 1, 64],
      [maxRouteQuestions, 0, 0],
      [maxRouteQuestions, maxRouteQuestions, 32],
    ] as const) {
      const asked = question(tokens, certificates);
      const answers = await answerRoutes(db, asked);
      assert.equal(answers.at(-1)?.connectionServices.length, named);
      const value = { nonce: asked.nonce, answers, issuedAt: new Date().toISOString() };
      const sent = JSON.stringify(signRoutes(value, privateKey, Buffer.alloc(6 * 1024)));
      assert.ok(sent.length <= 256 * 1024, `${sent.length} bytes`);
    }
  },
);

test('an account’s name is routed by its stored form, to no connection service', limited, async () => {
  await seedDevice(db, here, 'named-here');
  const [instance] = await db`select srp_identifier from instance where id = ${here}`;
  const question = { nonce: 'n'.repeat(16), tokens: [], certificates: [] };
  assert.deepEqual(await answerRoutes(db, { ...question, accounts: ['nobody', 'named-here'] }), [
    { account: 'nobody', identifier: null, connectionServices: [] },
    { account: 'named-here', identifier: instance?.['srp_identifier'], connectionServices: [] },
  ]);
  assert.deepEqual(await answerRoutes(db, question), []);
});

test('a connection service serves the active and suspended devices of its instance’s accounts', limited, async () => {
  const [mine, other] = [await seedDevice(db, here, 'tunnel'), await seedDevice(db, there, 'tunnel-there')];
  assert.equal(await authorizationOf(serviceHere, mine.fingerprint), 'allowed');
  assert.equal(await authorizationOf(serviceHere, other.fingerprint), 'not-served');
  assert.equal(await authorizationOf('C99999999', mine.fingerprint), 'not-served');
  const asked = await authorizeTunnels(db, serviceHere, [mine.fingerprint, 'unknown', other.fingerprint]);
  assert.deepEqual([...asked.values()], ['allowed', 'unknown-device', 'not-served']);
  assert.equal(await authorizationOf(serviceHere, 'unknown'), 'unknown-device');
  await db`update account set instance_id = ${there} where id = ${mine.accountId}`;
  assert.equal(await authorizationOf(serviceThere, mine.fingerprint), 'allowed', 'it went with its account');
  const elsewhere = await readHostsElsewhere(db, [mine.fingerprint, 'unknown']);
  assert.deepEqual([...elsewhere.keys()], [mine.fingerprint]);
  await db`update device set state = 'authenticated' where id = ${mine.deviceId}`;
  assert.equal(await authorizationOf(serviceThere, mine.fingerprint), 'unknown-device');
  await db`update device set suspended_at = now() where id = ${mine.deviceId}`;
  assert.equal(await authorizationOf(serviceThere, mine.fingerprint), 'suspended');
  assert.equal(await authorizationOf(serviceHere, mine.fingerprint), 'not-served');
  await db`update device set state = 'gone' where id = ${mine.deviceId}`;
  assert.equal(await authorizationOf(serviceThere, mine.fingerprint), 'unknown-device');
  assert.deepEqual(await readAllowedHosts(db, serviceHere), ['a.test:443']);
  assert.equal(await readAllowedHosts(db, 'C99999999'), 'not-found');
});

test(
  'a renewed identity opens tunnels before its first use elsewhere, and cuts none that stand by the former one',
  limited,
  async () => {
    const device = await seedDevice(db, here, 'tunnel-renewed');
    const [next, former] = ['next-print', 'former-print'];
    await db`
    insert into device_renewal (device_id, identity_fingerprint, former_fingerprint, renewed_at)
    values (${device.deviceId}, ${next}, ${former}, now() - interval '11 hours')`;
    const routed = async (fingerprint: string) => {
      const question = { nonce: 'n'.repeat(16), tokens: [], certificates: [fingerprint] };
      const [answer] = await answerRoutes(db, question as never);
      return answer?.identifier ?? null;
    };
    const owner = await routed(device.fingerprint);
    assert.ok(owner);
    for (const fingerprint of [device.fingerprint, next, former]) {
      assert.equal(await authorizationOf(serviceHere, fingerprint), 'allowed', fingerprint);
    }
    assert.deepEqual([await routed(next), await routed(former)], [owner, null], 'no new tunnel by the former one');
    const elsewhere = await readHostsElsewhere(db, [next, former, 'unknown']);
    assert.deepEqual([...elsewhere.keys()].sort(), [former, next]);
    await db`update device_renewal set renewed_at = now() - interval '13 hours'`;
    assert.equal(await authorizationOf(serviceHere, former), 'unknown-device');
    await db`update device set state = 'gone' where id = ${device.deviceId}`;
    assert.equal(await authorizationOf(serviceHere, next), 'unknown-device');
    assert.equal(await routed(next), null);
  },
);

test(
  'a link is told the list in force at once and each later one; one that fails keeps it from no other',
  limited,
  async (t) => {
    const sign = async (number: number) =>
      await storeSignedRevocationList(db, { number, envelope: { payload: String(number), signature: 's' } });
    await sign(1);
    const feed = createRevocationFeed(db);
    const [ending, leaving] = [new AbortController(), new AbortController()];
    t.after(() => ending.abort());
    const errors: unknown[] = [];
    const told = { early: [] as string[], left: [] as string[], late: [] as string[] };
    let onEarly = Promise.withResolvers<void>();
    feed.follow(() => {
      throw new RangeError('the link broke');
    }, ending.signal);
    const payloadOf = (message: object) => ('payload' in message ? String(message.payload) : 'authorities');
    feed.follow((message) => {
      told.early.push(payloadOf(message));
      onEarly.resolve();
    }, ending.signal);
    feed.follow((message) => told.left.push(payloadOf(message)), leaving.signal);
    const running = feed.run(ending.signal, (error) => errors.push(error));
    await onEarly.promise;
    leaving.abort();
    feed.follow((message) => told.late.push(payloadOf(message)), ending.signal);
    feed.follow(() => assert.fail('it left before'), AbortSignal.abort());
    onEarly = Promise.withResolvers<void>();
    await sign(0);
    await sign(2);
    await onEarly.promise;
    onEarly = Promise.withResolvers<void>();
    await insertStatement(db, 1, { payload: 'p', signature: 's' });
    await onEarly.promise;
    const latest: string[] = [];
    feed.follow((message) => latest.push(payloadOf(message)), ending.signal);
    assert.deepEqual(latest, ['authorities', '2'], 'whom to trust comes first');
    ending.abort();
    await running;
    assert.deepEqual(
      told,
      { early: ['1', '2', 'authorities'], left: ['1'], late: ['1', '2', 'authorities'] },
      'a lower number takes no place',
    );
    assert.equal(errors.length, 3);
  },
);
