import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import * as z from 'zod';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { rotateMasterKeys } from '../database/master-keys-fixture.ts';
import { createMasterKeys } from '../database/sealed-value.ts';
import {
  changeDesiredProcesses,
  type DesiredProcess,
  listDesiredProcesses,
  setDesiredProcess,
} from '../registry/desired-processes.ts';
import { loadAuthorities, storeAuthority, storeDomainAuthority } from './authorities.ts';
import { generateAuthorities } from './authority-creation.ts';
import { insertDomain, type NewDomain, readDomain } from './domain.ts';
import { listEvents, recordEvent } from './events.ts';
import { readSetting, writeSetting } from './settings.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
after(async () => await db.end());

const limited = { timeout: 20_000 };
const example: NewDomain = {
  domainId: randomUUID(),
  name: 'Example',
  publicUrl: 'https://mdm.example.org:8443',
  tunnelHost: 'tunnel.example.org',
  wakeChannel: 'com.apple.mgmt.External.example',
  release: '1.0.0',
  schemaVersion: 6,
};

test(
  'the domain’s row is read as it was written, at the feature level of its release, and there is one',
  limited,
  async () => {
    await assert.rejects(readDomain(db), { code: 'ERR_NO_DOMAIN' });
    await insertDomain(db, example);
    assert.deepEqual(await readDomain(db), { ...example, featureLevel: '1.0.0' });
    await assert.rejects(insertDomain(db, { ...example, domainId: randomUUID() }), { code: '23505' });
  },
);

test('events come newest first, as many as were asked for', limited, async () => {
  await recordEvent(db, { kind: 'first', message: 'one' });
  await recordEvent(db, { kind: 'second', subject: 'S10000001', message: 'two', detail: { a: 1 } });
  const { events } = await listEvents(db, { sort: '-at', limit: 10 });
  const shown = events.map(({ kind, subject, message }) => ({ kind, subject, message }));
  assert.deepEqual(shown, [
    { kind: 'second', subject: 'S10000001', message: 'two' },
    { kind: 'first', subject: null, message: 'one' },
  ]);
  assert.equal((await listEvents(db, { sort: '-at', limit: 1 })).events.length, 1);
});

test(
  'a setting is what its shape makes of nothing, until one is written; a wrong one is not passed on',
  limited,
  async () => {
    const shape = z.object({ perMinute: z.number().default(60) });
    assert.deepEqual(await readSetting(db, 'pace', shape), { perMinute: 60 });
    await writeSetting(db, 'pace', { perMinute: 5 });
    assert.deepEqual(await readSetting(db, 'pace', shape), { perMinute: 5 });
    await writeSetting(db, 'pace', { perMinute: 'many' });
    await assert.rejects(readSetting(db, 'pace', shape), { name: 'ZodError' });
  },
);

test(
  'authorities come back with their keys, under an older master key too, and not under another one',
  limited,
  async () => {
    const keys = createMasterKeys();
    await assert.rejects(loadAuthorities(db, keys), { code: 'ERR_NO_DOMAIN' });
    const authorities = await generateAuthorities(example);
    await storeDomainAuthority(db, keys, authorities.domain);
    await storeAuthority(db, keys, 'device', authorities.device);
    const loaded = await loadAuthorities(db, rotateMasterKeys(keys));
    for (const name of ['domain', 'device'] as const) {
      assert.deepEqual(Buffer.from(loaded[name].certificateDer), Buffer.from(authorities[name].certificateDer));
      assert.equal(loaded[name].privateKeyPem, authorities[name].privateKeyPem);
    }
    await assert.rejects(loadAuthorities(db, createMasterKeys()), { code: 'ERR_MASTER_KEY' });
    await db`update domain_key set private_key = b.private_key from authority b where b.name = 'device'`;
    await assert.rejects(loadAuthorities(db, keys), { code: 'ERR_SEALED_VALUE' }, 'a key put into another row');
  },
);

const router: DesiredProcess = {
  ...{ name: 'router-1', kind: 'router', host: 'here', release: '1.0.0', state: 'running' },
  settings: { tunnelHost: 'tunnel.test' },
};

test('processes are wanted, changed by name and not wanted any more', limited, async () => {
  await setDesiredProcess(db, router);
  await setDesiredProcess(db, { ...router, name: 'router-2' });
  assert.deepEqual([...(await listDesiredProcesses(db))], [router, { ...router, name: 'router-2' }]);
  await setDesiredProcess(db, { ...router, release: '1.1.0', settings: {} });
  assert.deepEqual((await listDesiredProcesses(db))[0], { ...router, release: '1.1.0', settings: {} });
  const names = ['router-1', 'router-2', 'none'];
  assert.equal(await changeDesiredProcesses(db, names, { state: 'stopped' }), 2);
  assert.equal(await changeDesiredProcesses(db, ['router-2'], { release: '1.2.0' }), 1);
  assert.deepEqual(
    (await listDesiredProcesses(db)).map(({ release, state }) => [release, state]),
    [
      ['1.1.0', 'stopped'],
      ['1.2.0', 'stopped'],
    ],
  );
  await db`delete from desired_process`;
});

test(
  'supervisors are notified of each change once it is committed, and not of one that is rolled back',
  limited,
  async () => {
    const told: (() => void)[] = [];
    let count = 0;
    const { unlisten } = await db.listen('bramble_desired', () => {
      count++;
      told.shift()?.();
    });
    const next = () => new Promise<void>((resolve) => told.push(resolve));
    const changes = [
      () => setDesiredProcess(db, router),
      () => changeDesiredProcesses(db, ['router-1'], { state: 'stopped' }),
      async () => void (await db`delete from desired_process where name = 'router-1'`),
    ];
    const undone = db.begin(async (tx) => {
      await setDesiredProcess(tx, router);
      throw new RangeError('undone');
    });
    await assert.rejects(undone, RangeError);
    for (const change of changes) {
      const notified = next();
      await change();
      await notified;
    }
    assert.equal(count, changes.length);
    await unlisten();
  },
);
