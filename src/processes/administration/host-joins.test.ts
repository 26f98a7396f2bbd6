/** How an administration service answers hosts that ask to join: who is admitted, who is not, and what is left behind. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { clientOf } from '../../api/client-fixture.ts';
import { hostOperations } from '../../api/hosts.ts';
import { systemClock } from '../../base/clock.ts';
import { createMasterKeys } from '../../database/sealed-value.ts';
import { fetchesReleases } from '../../distribution/host-signer.ts';
import { storedReleases } from '../../distribution/release-store.ts';
import { readMasterKeyState, writeMasterKeyState } from '../../domain/master-key.ts';
import { writeRestored } from '../../domain/restored-domain.ts';
import { lookForAnswer, postRequest } from '../../hosts/host-store.ts';
import { type Invitation, readInvitation } from '../../hosts/invitation.ts';
import { newAnswerKeys, newSecret, openAnswer, proofOf } from '../../hosts/join-messages.ts';
import { createEcKeyPair, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { setDesiredProcess } from '../../registry/desired-processes.ts';
import { installArchive, readInstalled } from '../../release/archive.ts';
import { writeTestArchive } from '../../release/signed-archive-fixture.ts';
import { until } from '../../testing/condition.ts';
import { configureForHosts, placeRouter, startAdministration } from './administration-fixture.ts';
import { keepAnsweringHosts } from './host-joins.ts';
import { createReleaseStorage } from './release-storage.ts';

const limited = { timeout: 60_000 };
const admin = await startAdministration();
await configureForHosts(admin);
const stop = new AbortController();
const { db, context } = admin;
const warnings: unknown[][] = [];
/** By this process. */
const held = new Map(context.masterKeys.keys);
const answering = keepAnsweringHosts(
  {
    db,
    release: context.release,
    name: 'admin-1',
    host: 'test-host',
    home: admin.home,
    masterKeys: { current: context.masterKeys.current, keys: held },
    log: { ...context.log, warn: (...said: unknown[]) => void warnings.push(said) } as unknown as typeof context.log,
  },
  systemClock,
  stop.signal,
);
after(async () => {
  stop.abort();
  await answering;
  await admin.close();
});

async function invite(name: string): Promise<Invitation> {
  const body = { name, databaseUrl: 'postgres://db.example/bramble' };
  return readInvitation((await clientOf(admin).call(hostOperations.invite, { body })).invitation);
}

async function ask({ id, host, secret }: Invitation, provenBy = secret) {
  const keys = newAnswerKeys();
  const publicKey = spkiDerOf((await createEcKeyPair()).publicKey);
  const [given, answerKey] = [publicKey, spkiDerOf(keys.publicKey)].map((key) => key.toString('base64'));
  const request = JSON.stringify({ invitation: id, host, publicKey: given, answerKey });
  assert.equal(await postRequest(db, id, request, proofOf(provenBy, request)), true);
  return { keys, request, publicKey };
}

const hostNames = async () => (await db`select name from host order by name`).map((row) => row['name']);

test('who holds the invitation is admitted, and gets what its home needs and no more', limited, async () => {
  const invitation = await invite('berlin');
  const { keys, publicKey } = await ask(invitation);
  await until('it is answered', 30_000, async () => (await lookForAnswer(db, invitation.id))?.answer != null);
  const found = await lookForAnswer(db, invitation.id);
  const answer = openAnswer(invitation.secret, invitation.id, keys.privateKey, found?.answer ?? Buffer.alloc(0));
  assert.deepEqual(Object.keys(answer.roles), [], 'the role for joining is not among them');
  assert.deepEqual([answer.databaseUrl, answer.release], ['postgres://db.example/bramble', context.release]);
  assert.deepEqual(Object.keys(answer.masterKeys.keys), [...context.masterKeys.keys.keys()]);
  const [row] = await db<{ key: Buffer }[]>`select public_key as key from host where name = 'berlin'`;
  assert.deepEqual(row?.key, publicKey);
  const everything = JSON.stringify(await db`select * from audit_record`);
  assert.ok(!everything.includes(invitation.secret), 'the secret stands in the audit');

  await db`insert into supervisor (host, release, process_id, node_version, postgres_server)
           values ('berlin', '1.4.0', 1, 'v26', '18')`;
  await until('this home takes releases from there, too', 30_000, () => fetchesReleases(admin.home));
  await until('its secrets are gone', 30_000, async () => (await lookForAnswer(db, invitation.id)) === undefined);
});

test(
  'this release is stored for other hosts; another build of it in its place is told, and stays',
  limited,
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'bramble-builds-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await installArchive(await writeTestArchive(folder, context.release, {}), { home: admin.home });
    await until('it is stored', 30_000, async () => (await storedReleases(db)).has(context.release));
    await db`update release_package set manifest_sha256 = 'of another build'`;
    await invite('vienna');
    const isTold = () => warnings.some((said) => /another build of this release/.test(String(said[1])));
    await until('it is told', 30_000, isTold);
    assert.equal((await storedReleases(db)).get(context.release), 'of another build');
  },
);

test('that another build is stored is told once, and again when it is another one or comes back', limited, async () => {
  const told: unknown[] = [];
  const store = createReleaseStorage({
    ...{ db, release: context.release, name: 'admin-2', host: 'test-host', home: admin.home },
    log: { ...context.log, warn: (said: { stored: string }) => void told.push(said.stored) } as never,
  });
  const { manifestSha256 } = await readInstalled(join(admin.home, 'releases', context.release));
  for (const build of ['one', 'one', 'another', 'another', manifestSha256, 'another']) {
    await db`update release_package set manifest_sha256 = ${build} where release = ${context.release}`;
    await store();
  }
  assert.deepEqual(told, ['one', 'another', 'another']);
});

test('a request that its invitation does not prove is dropped, and the invited host still joins', limited, async () => {
  const invitation = await invite('paris');
  await ask(invitation, newSecret());
  await until('it is dropped', 30_000, async () => (await lookForAnswer(db, invitation.id))?.request === null);
  assert.deepEqual(await hostNames(), ['berlin']);
  const long = 'x'.repeat(5000);
  await assert.rejects(postRequest(db, invitation.id, long, ''), /check/, 'nobody fills the database');
  await ask(invitation);
  await until('paris has joined', 30_000, async () => (await hostNames()).includes('paris'));
  assert.equal(await postRequest(db, invitation.id, '{}', ''), false, 'an answered invitation takes no other request');
});

test('who asks while the answer would lack a master key is answered once it does not', limited, async () => {
  const state = await readMasterKeyState(db);
  const next = createMasterKeys();
  await writeMasterKeyState(db, { ...state, next: next.current });
  const invitation = await invite('madrid');
  const { keys } = await ask(invitation);
  const isTold = () => warnings.some(([said]) => JSON.stringify(said).includes(next.current));
  await until('it waits for the key', 30_000, isTold);
  assert.equal((await lookForAnswer(db, invitation.id))?.answer, null);
  held.set(next.current, next.keys.get(next.current) ?? Buffer.alloc(0));
  await until('it is answered', 30_000, async () => (await lookForAnswer(db, invitation.id))?.answer != null);
  const { answer } = (await lookForAnswer(db, invitation.id)) ?? {};
  const { masterKeys } = openAnswer(invitation.secret, invitation.id, keys.privateKey, answer ?? Buffer.alloc(0));
  assert.ok(Object.hasOwn(masterKeys.keys, next.current));
  await writeMasterKeyState(db, state);
});

test('an invitation that expired is answered no more, and goes', limited, async () => {
  const invitation = await invite('rome');
  await db`update host_invitation set expires_at = now() where id = ${invitation.id}`;
  assert.equal(await postRequest(db, invitation.id, '{}', ''), false);
  await until('it is gone', 30_000, async () => (await lookForAnswer(db, invitation.id)) === undefined);
  assert.equal((await hostNames()).includes('rome'), false);
});

test('a new invitation replaces the one before; a known host is not invited', limited, async () => {
  const first = await invite('oslo');
  await invite('oslo');
  assert.equal(await lookForAnswer(db, first.id), undefined);
  for (const name of ['berlin', 'test-host']) {
    await assert.rejects(invite(name), { code: 'ERR_CONFLICT' });
  }
  await assert.rejects(invite('Not A Host'), { code: 'ERR_INPUT' });
});

test('in a restored domain a host that had joined is invited again, with what is placed there', limited, async () => {
  await setDesiredProcess(db, {
    ...{
      name: 'server-munich',
      kind: 'server',
      host: 'munich',
      release: context.release,
      state: 'stopped',
      settings: {},
    },
  });
  await assert.rejects(invite('munich'), { code: 'ERR_CONFLICT' });
  const restored = { backup: randomUUID(), takenAt: new Date().toISOString(), restoredAt: new Date().toISOString() };
  await db.begin((tx) => writeRestored(tx, { ...restored, by: 'ada', stopped: [], joinedHosts: ['munich'] }));
  const stateOfMunich = async () => {
    const { hosts } = await clientOf(admin).call(hostOperations.list, {});
    return hosts.find(({ name }) => name === 'munich')?.state;
  };
  assert.equal(await stateOfMunich(), 'awaited');
  assert.equal((await invite('munich')).host, 'munich');
  assert.equal(await stateOfMunich(), 'invited');
  assert.deepEqual((await db`select host from desired_process where name = 'server-munich'`)[0], { host: 'munich' });
});

test('several hosts of the database, and how they prove themselves, go with the invitation', limited, async () => {
  const rest = '@db1.example,db2.example:5433/bramble?sslmode=verify-full&sslrootcert=/etc/ca.pem';
  const body = { name: 'cairo', databaseUrl: `postgres://${rest.slice(1)}` };
  const answer = await clientOf(admin).call(hostOperations.invite, { body });
  assert.equal(answer.databaseUrl, body.databaseUrl);
  const { databaseUrl } = readInvitation(answer.invitation);
  assert.ok(
    databaseUrl.endsWith(rest) && !databaseUrl.startsWith(body.databaseUrl),
    'with a user, and otherwise the same',
  );
});

test(
  'no host is invited whose instances could not dial: the routers are on loopback, and it is not',
  limited,
  async () => {
    await placeRouter(db, '127.0.0.1');
    await assert.rejects(invite('lima'), { code: 'ERR_CONFLICT' });
    const body = { name: 'lima', databaseUrl: 'postgres://127.0.0.1/bramble' };
    await clientOf(admin).call(hostOperations.invite, { body });
  },
);

test('the address of the database holds no user and no password', limited, async () => {
  for (const databaseUrl of [
    'postgres://u@db.example/b',
    'postgres://:p@db.example/b',
    'https://db.example/b',
    'postgres://db.example/b?sslmode=always',
    'postgres://db.example,/b',
    'postgres://db.example',
    'db',
    '',
  ]) {
    const body = { name: 'kyiv', databaseUrl };
    await assert.rejects(clientOf(admin).call(hostOperations.invite, { body }), { code: 'ERR_INPUT' }, databaseUrl);
  }
});

test('a removed host is listed no more, and can be invited again', limited, async () => {
  const listed = async () => (await clientOf(admin).call(hostOperations.list, {})).hosts.map(({ name }) => name);
  const remove = async () => await clientOf(admin).call(hostOperations.remove, { params: { name: 'berlin' } });
  const body = { name: 'berlin', databaseUrl: 'postgres://127.0.0.1/bramble' };
  const again = async () => await clientOf(admin).call(hostOperations.invite, { body });
  assert.ok((await listed()).includes('berlin'));
  await db`insert into host_release (host, release) values ('berlin', '1.4.0'), ('paris', '1.4.0')`;
  await remove();
  assert.ok(!(await listed()).includes('berlin'));
  assert.deepEqual(
    [...(await db`select host from host_release`)],
    [{ host: 'paris' }],
    'one that joins by its name begins anew',
  );
  // Its supervisor had not been stopped yet.
  await db`insert into supervisor (host, release, process_id, node_version, postgres_server)
           values ('berlin', '1.4.0', 1, 'v26', '18')`;
  await assert.rejects(again(), { code: 'ERR_CONFLICT', message: /repeat `bramble host remove berlin`/ });
  await remove();
  await assert.rejects(remove(), { code: 'ERR_NOT_FOUND' });
  await again();
  assert.ok((await listed()).includes('berlin'));
});
