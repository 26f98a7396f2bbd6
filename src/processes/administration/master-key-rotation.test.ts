/** The master key is rotated: nothing is sealed by a key that somebody lacks, nothing is lost, and any death is survived. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { runBramble } from '../../cli/command-line-fixture.ts';
import { type MasterKeyRing, masterKeyPath, openMasterKeyRing } from '../../component/master-key-ring.ts';
import { openDatabase } from '../../database/connection.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { openValue, readMasterKeys, sealValue, writeMasterKeys } from '../../database/sealed-value.ts';
import { seedDevice } from '../../devices/device-fixture.ts';
import { loadDomainAuthority, loadInstanceAuthorities, loadRouteSigner } from '../../domain/authorities.ts';
import { readMasterKeyState, writeMasterKeyState } from '../../domain/master-key.ts';
import { writeHostKey } from '../../hosts/host-key.ts';
import { offeredMasterKey } from '../../hosts/host-master-keys.ts';
import { insertHost } from '../../hosts/host-store.ts';
import { readMailServer } from '../../notices/mail-server.ts';
import { setMailServer } from '../../notices/mail-server-store.ts';
import { addTarget } from '../../notices/target-store.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { thisRelease } from '../../release/this-release.ts';
import { sealedPlace } from '../../states/stored-names.ts';
import { codeOf, startAdministration, whileUpgrading } from './administration-fixture.ts';
import { beginRotation, rotationTurn, usedKeys } from './master-key-rotation.ts';
import { pushSettingsStore } from './push-settings-store.ts';
import { sealedPlaces } from './sealed-places.ts';

const admin = await startAdministration();
const { db, context, home } = admin;
const mailServer = {
  ...{ host: 'mail.example.org', port: 465, security: 'tls' as const, sender: 'bramble@example.org', caPem: null },
  ...{ username: 'bramble', password: 'the mail password' },
} as const;
const places = sealedPlaces(registeredPlatforms);
const path = masterKeyPath(home);
let asRole: ReturnType<typeof openDatabase>;
let ring: MasterKeyRing;
const devices: { deviceId: string }[] = [];
before(async () => {
  await establishRoles(admin.databaseUrl, home);
  const address = urlForRole(admin.databaseUrl, (await readRoleCredentials(home)).get('administration'));
  asRole = openDatabase(address, { applicationName: 'bramble/administration/admin-1@test#2', max: 2 });
  await mkdir(join(home, 'keys'), { recursive: true });
  const [instance] = await db<{ id: string }[]>`select id from instance where name = 'one'`;
  // More than a batch.
  for (let number = 0; number < 230; number++) {
    devices.push(await seedDevice(db, (instance?.id ?? '') as never, `person-${number}`));
  }
});
after(async () => {
  await asRole?.end({ timeout: 5 });
  await admin.close();
});

/** Everything is sealed by the domain's first key, and one process has reported that it holds it. */
beforeEach(async () => {
  await writeMasterKeys(path, context.masterKeys, 'w');
  await db`delete from setting where key = 'master-key'`;
  await db`delete from component`;
  await db`delete from desired_process`;
  ring = await openMasterKeyRing({ db, home, log: silentLogger });
  for (const place of places) {
    for (let after_: string | null = null; ; ) {
      after_ = await db.begin((tx) => place.sealAgain(tx, { ...context.masterKeys, keys: known() }, after_));
      if (after_ === null) break;
    }
  }
  await db`delete from notice_target`;
  await db.begin(async (tx) => {
    await addTarget(tx, context.masterKeys, {
      channel: 'webhook',
      name: 'hook',
      url: 'https://hook.example.org/secret',
      key: 'k'.repeat(40),
      kinds: null,
    } as never);
    await setMailServer(tx, context.masterKeys, mailServer);
    await pushSettingsStore(context).write(tx, { url: 'https://push.example.org', privateKeyPem: 'the push key' });
  });
  for (const { deviceId } of devices) {
    for (const secret of ['unlockSecret', 'keptSecret'] as const) {
      const { ciphertext, keyId } = sealValue(
        context.masterKeys,
        sealedPlace(secret, deviceId as never),
        Buffer.from(`${secret} ${deviceId}`),
      );
      const column = secret === 'unlockSecret' ? 'unlock_token' : 'bootstrap_token';
      await db`update device set ${db(column)} = ${ciphertext}, ${db(`${column}_key`)} = ${keyId} where id = ${deviceId}`;
    }
  }
  await component('server-1', first, [first]);
});
/** Every key that a rotation of these tests has made. */
const made = new Map(context.masterKeys.keys);
const known = () => made;
const first = context.masterKeys.current;

/** A process that reports this. */
async function component(name: string, current: string | null, held: readonly string[]): Promise<void> {
  const detail = current === null ? {} : { masterKeys: { current, held } };
  await db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until, detail)
    values (${name}, 'server', 'berlin', 'b', 1, ${context.release}, '{2}', ${[...thisRelease.features]}, now() + interval '1 hour', ${db.json(detail as never)})
    on conflict (name) do update set detail = excluded.detail`;
}
const turn = async () =>
  await rotationTurn({
    ...{ db: asRole, release: context.release, name: 'admin-1', home, ring, places },
    log: silentLogger,
  });
const begin = async () => {
  const key = await asRole.begin((tx) => beginRotation(tx, home, ring));
  for (const [id, value] of (await readMasterKeys(path)).keys) made.set(id, value);
  return key;
};
const sealedBy = async () => {
  const used = await usedKeys(db, places);
  return [...new Set(used.map(({ keyId }) => keyId))].sort();
};
/** With what a freshly started process reads. */
async function assertAllOpen(): Promise<void> {
  const keys = await readMasterKeys(path);
  const { device } = await loadInstanceAuthorities(db, keys);
  assert.match(device.privateKeyPem, /PRIVATE KEY/);
  await loadRouteSigner(db, keys);
  assert.equal((await readMailServer(db, keys))?.password, mailServer.password);
  assert.equal((await pushSettingsStore({ ...context, masterKeys: keys }).read(db)).privateKeyPem, 'the push key');
  const rows = await db<{ id: string; sealed: Buffer; key: string }[]>`
    select id, bootstrap_token as sealed, bootstrap_token_key as key from device`;
  for (const { id, sealed, key } of rows) {
    assert.equal(openValue(keys, sealedPlace('keptSecret', id as never), sealed, key).toString(), `keptSecret ${id}`);
  }
}

test('a new key waits until every process holds it, then seals, and everything is sealed again by it', async () => {
  const key = await begin();
  await component('server-2', null, []);
  assert.equal(await turn(), 'waits');
  assert.deepEqual([(await readMasterKeys(path)).current, ring.current], [first, first]);

  await component('server-1', first, [first, key]);
  assert.equal(await turn(), 'waits');
  await component('server-2', first, [first, key]);
  await db`insert into desired_process (name, kind, host, release, state) values ('server-3', 'server', 'hamburg', ${context.release}, 'running')`;
  assert.equal(await turn(), 'waits');
  const waiting = await runBramble(admin, ['key', 'list']);
  assert.match(waiting.output, /Waiting for: server-3 on hamburg \(not running\)/);
  await component('server-3', first, [first, key]);

  // Chosen, and not sealed again before everybody seals by it: a value could be written behind the walk.
  assert.equal(await turn(), 'waits');
  assert.equal((await readMasterKeyState(db)).sealing, key);
  assert.deepEqual(await sealedBy(), [first]);
  assert.equal((await readMasterKeys(path)).current, key);
  for (const name of ['server-1', 'server-2', 'server-3']) await component(name, key, [first, key]);
  assert.equal(await turn(), 'rests');
  assert.deepEqual(await sealedBy(), [key]);
  await assertAllOpen();
  const settled = (await readMasterKeyState(db)).settledAt;
  assert.notEqual(settled, null);
  assert.equal(await turn(), 'rests');
  assert.equal((await readMasterKeyState(db)).settledAt, settled);
});

test('a rotation that dies between any two of its steps is carried on, and what is stored opens all the while', async () => {
  const write = new Error('killed');
  await assert.rejects(
    asRole.begin(async (tx) => {
      await beginRotation(tx, home, ring);
      throw write;
    }),
    write,
  );
  // A key that nobody knows of, and nothing else.
  assert.equal((await readMasterKeys(path)).keys.size, 2);
  assert.equal((await readMasterKeyState(db)).next, null);
  await assertAllOpen();

  const key = await begin();
  await component('server-1', key, [first, key]);
  for (const [index] of places.entries()) {
    let seen = 0;
    const dying = places.map((place, at) => ({
      ...place,
      sealAgain: async (...given: Parameters<typeof place.sealAgain>) => {
        const next = await place.sealAgain(...given);
        if (at === index && seen++ === 0) throw write;
        return next;
      },
    }));
    const rotation = {
      db: asRole,
      release: context.release,
      name: 'admin-1',
      home,
      ring,
      places: dying,
      log: silentLogger,
    };
    await assert.rejects(rotationTurn(rotation), write);
    await assertAllOpen();
  }
  assert.equal(await turn(), 'rests');
  assert.deepEqual(await sealedBy(), [key]);
  await assertAllOpen();
});

test('a host that joined is sent the key when it is made, or with the next turn; where nothing runs it is found long after', async (t) => {
  const far = await mkdtemp(join(tmpdir(), 'bramble-far-'));
  t.after(async () => {
    await db`delete from host`;
    await rm(far, { recursive: true, force: true });
  });
  const offers = async () =>
    (await db`select host, key_id from host_master_key order by host`).map((row) => [row['host'], row['key_id']]);
  const joined = async (name: string) => {
    const { publicKey, privateKey } = await createEcKeyPair();
    await db.begin((tx) => insertHost(tx, { name, publicKey: spkiDerOf(publicKey), administers: false }));
    return privateKeyPemOf(privateKey);
  };
  const privateKeyPem = await joined('berlin');
  const key = await begin();
  assert.deepEqual(await offers(), [['berlin', key]]);
  await joined('hamburg');
  assert.equal(await turn(), 'waits');
  const both = (id: string) => ['berlin', 'hamburg'].map((host) => [host, id]);
  assert.deepEqual(await offers(), both(key));
  await component('server-1', key, [first, key]);
  assert.equal(await turn(), 'rests');
  assert.deepEqual(await offers(), both(key));

  // Nothing has run there; now the first process does.
  const { certificateDer } = await loadDomainAuthority(db, ring);
  await mkdir(join(far, 'keys'));
  await writeMasterKeys(masterKeyPath(far), context.masterKeys);
  await writeHostKey(far, { privateKeyPem, domainAuthorityPem: new X509Certificate(certificateDer).toString() });
  const offered = (keyId: string) => offeredMasterKey(db, { home: far, host: 'berlin', keyId });
  const there = await openMasterKeyRing({ db, home: far, log: silentLogger, offered });
  assert.equal(there.current, key);
  await loadInstanceAuthorities(db, there);

  await db`delete from host_master_key`;
  assert.equal(await turn(), 'rests');
  assert.deepEqual(await offers(), both(key), 'what was withdrawn is offered again');
  const next = await begin();
  await component('server-1', next, [first, key, next]);
  assert.equal(await turn(), 'rests');
  assert.deepEqual(await offers(), both(next));
});

test('no rotation is ordered while a host that joined is silent, unless it is to have the key', async (t) => {
  t.after(async () => {
    await db`delete from host`;
    await db`delete from supervisor`;
  });
  for (const name of ['berlin', 'hamburg', 'munich']) {
    const { publicKey } = await createEcKeyPair();
    await db.begin((tx) => insertHost(tx, { name, publicKey: spkiDerOf(publicKey), administers: false }));
  }
  // Munich's has never reported.
  await db`
    insert into supervisor (host, release, process_id, node_version, postgres_server, seen_at)
    select name, ${context.release}, 1, '26', '18', seen_at
      from (values ('berlin', now()), ('hamburg', now() - interval '2 minutes')) as s (name, seen_at)`;
  const refused = await runBramble(admin, ['key', 'rotate']);
  assert.match(refused.errors, /nothing is heard: hamburg, munich\. .*host remove.*ERR_KEY_ROTATION/s);
  assert.deepEqual([...(await readMasterKeys(path)).keys.keys()], [first]);
  assert.equal((await db`select from host_master_key`).length, 0);
  await db`update supervisor set seen_at = now()`;
  await db`delete from host where name = 'munich'`;
  assert.equal((await runBramble(admin, ['key', 'rotate'])).code, 0);

  await db`update supervisor set seen_at = now() - interval '2 minutes'`;
  await db`delete from setting where key = 'master-key'`;
  assert.equal((await runBramble(admin, ['key', 'rotate', '--silent-hosts'])).code, 0);
});

test('a device that somebody holds is passed over, and sealed again by the next walk', async () => {
  const key = await begin();
  await component('server-1', key, [first, key]);
  await db.begin(async (tx) => {
    await tx`select from device where id = ${devices[3]?.deviceId ?? ''} for update`;
    assert.equal(await turn(), 'waits');
    assert.deepEqual(await sealedBy(), [first, key].sort());
  });
  assert.equal(await turn(), 'rests');
  assert.deepEqual(await sealedBy(), [key]);
});

test('keys that seal nothing are removed once nobody can seal by them any more, and not before', async () => {
  const prune = async () => {
    const { status, body } = await admin.call('POST', '/master-keys/prune');
    return status === 200 ? (body as { removed: string[] }).removed : codeOf(body);
  };
  assert.deepEqual(await prune(), []);
  const key = await begin();
  assert.equal(await prune(), 'ERR_KEY_ROTATION');
  await component('server-1', first, [first, key]);
  await turn();
  assert.equal(await prune(), 'ERR_KEY_ROTATION');
  await component('server-1', key, [first, key]);
  assert.equal(await turn(), 'rests');
  // Just settled: a transaction may still be open that sealed before.
  assert.equal(await prune(), 'ERR_KEY_ROTATION');
  await db.begin(async (tx) =>
    writeMasterKeyState(tx, {
      ...(await readMasterKeyState(tx)),
      settledAt: new Date(Date.now() - 120_000).toISOString(),
    }),
  );
  await component('late', first, [first, key]);
  assert.equal(await prune(), 'ERR_KEY_ROTATION');
  await db`delete from component where name = 'late'`;

  const [device] = devices;
  const place = sealedPlace('unlockSecret', (device?.deviceId ?? '') as never);
  const old = sealValue(context.masterKeys, place, Buffer.from('x'));
  await db`update device set unlock_token = ${old.ciphertext}, unlock_token_key = ${first} where id = ${device?.deviceId ?? ''}`;
  assert.deepEqual(await prune(), []);
  await db`update device set unlock_token = null, unlock_token_key = null where id = ${device?.deviceId ?? ''}`;
  const complete = (await runBramble(admin, ['key', 'list'])).output;
  assert.match(complete, new RegExp(`^The rotation is complete: .* backed up, .* removes ${first}\\.$`, 'm'));
  assert.deepEqual(await prune(), [first]);
  assert.deepEqual([...(await readMasterKeys(path)).keys.keys()], [key]);
  await assertAllOpen();
  // Of another home, whose file was not reached so far.
  assert.match(
    (await runBramble(admin, ['key', 'list'])).output,
    /\. Not known to have removed .*: server-1 on berlin\.$/m,
  );
  assert.deepEqual(await prune(), [first]);
  await component('server-1', key, [key]);
  assert.deepEqual(await prune(), []);
  assert.doesNotMatch((await runBramble(admin, ['key', 'list'])).output, /Not known/);
});

test('bramble key shows what each key seals, rotates once at a time, and asks before it removes', async () => {
  const bramble = (...argv: string[]) => runBramble(admin, argv);
  assert.match((await bramble('key', 'list')).output, new RegExp(`${first} +seals +\\d+ +authority\\.private_key 4`));
  const rotated = await bramble('--json', 'key', 'rotate');
  assert.equal(rotated.code, 0, rotated.errors);
  const { state, next, waitsFor } = JSON.parse(rotated.output);
  assert.deepEqual([state, waitsFor], ['begun', ['server-1 on berlin']]);
  assert.match((await bramble('key', 'list')).output, new RegExp(`${next} +next +0[^]*It goes on by itself`));
  assert.match((await bramble('key', 'rotate')).errors, /ERR_KEY_ROTATION/);
  assert.equal((await bramble('key', 'prune')).code, 2);
  const contents = JSON.stringify([
    rotated.output,
    (await bramble('key', 'list')).output,
    await db`select * from audit_record`,
  ]);
  for (const value of (await readMasterKeys(path)).keys.values())
    assert.ok(!contents.includes(value.toString('base64')));
});

test('until the upgrade is finalized no key is made: processes of the release before read the file only once', async () => {
  await whileUpgrading(admin, async () => {
    const { status, body } = await admin.call('POST', '/master-keys', {});
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_FEATURE_LOCKED']);
  });
  assert.equal((await readMasterKeys(path)).keys.size, 1);
});
