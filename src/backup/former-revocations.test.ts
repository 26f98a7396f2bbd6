import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { insertAdministrator } from '../access/administrators.ts';
import { findCode, makeInvitation } from '../access/sign-in/one-time-code.ts';
import { findSession, insertSession } from '../access/sign-in/sessions.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { createMasterKeys } from '../database/sealed-value.ts';
import { loadAuthorities, loadRouteSigner } from '../domain/authorities.ts';
import { createAuthorities } from '../domain/authority-creation.ts';
import { readLastEvents } from '../domain/event-stream.ts';
import { recordEvent } from '../domain/events.ts';
import { readRouteSigners } from '../domain/route-signer-roll.ts';
import { createInstance } from '../instances/instances.ts';
import { revocationList } from '../instances/srp-credential-store.ts';
import { normalSerial } from '../link/messages.ts';
import { signEnvelope } from '../link/signed-envelope.ts';
import { createAuthority } from '../protocol/x509/certificate.ts';
import { setDesiredProcess } from '../registry/desired-processes.ts';
import { insertTestDomain } from '../upgrade/steps/domain-fixture.ts';
import { newestSigned, readFormerLists } from './former-revocations.ts';
import type { BackupHead } from './manifest.ts';
import { resumeRestored, settleRestored } from './restored-domain.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test', max: 2 });
const home = await mkdtemp(join(tmpdir(), 'bramble-former-'));
after(async () => {
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});
await insertTestDomain(db);
const masterKeys = createMasterKeys();
await createAuthorities(db, masterKeys, { name: 'test' });
const { domain } = await loadAuthorities(db, masterKeys);
const stranger = await createAuthority({ commonName: 'stranger', algorithm: 'EC-P256', days: 1 });
const expiresAt = new Date(Date.now() + 86_400_000).toISOString();

const head = {
  ...{ id: randomUUID(), takenAt: new Date(Date.now() - 3_600_000).toISOString() },
  domain: { name: 'Example' },
  madeBy: { user: 'ada', host: 'there' },
} as BackupHead;
const by = { user: 'bea', host: 'here', needsToken: false };

async function writeState(router: string, text: string): Promise<void> {
  await mkdir(join(home, 'router', router), { recursive: true });
  await writeFile(join(home, 'router', router, 'state.json'), text);
}

const listOf = (number: number, key: string, serials = [`a${number}`]) => {
  const revoked = serials.map((serial) => ({ serial, identifier: 'S10000001', expiresAt }));
  return JSON.stringify({ list: signEnvelope({ number, revoked, cleared: [] }, key), suspended: [], linked: [] });
};

test('a former home without a router’s list is refused', async () => {
  await writeState('damaged', '{');
  await writeState('fresh', JSON.stringify({ list: null }));
  await assert.rejects(readFormerLists(home), {
    code: 'ERR_INPUT',
    message: /no list of revocations.*Nothing was changed/,
  });
});

test('the newest list that the domain itself signed is taken into the restored domain, which is paused', async () => {
  await writeState('router-1', listOf(4, domain.privateKeyPem));
  await writeState('router-2', listOf(7, domain.privateKeyPem));
  await writeState('router-3', listOf(9, stranger.privateKeyPem));
  const lists = await readFormerLists(home);
  assert.equal(lists.length, 3);
  assert.equal((await newestSigned(db, lists))?.number, 7);

  await db.begin((tx) => createInstance(tx, { name: 'server-1' }));
  for (const [name, kind] of [
    ['server-1', 'server'],
    ['administration-1', 'administration'],
  ] as const) {
    await setDesiredProcess(db, { name, kind, host: 'here', release: '1.0.0', state: 'running', settings: {} });
  }
  await db`insert into host (name, public_key, administers) values ('there', '\\x00', false)`;
  await db`insert into host_release (host, release) values ('here', '1.0.0'), ('there', '1.0.0')`;
  await recordEvent(db, { kind: 'test', message: 'before the backup' });
  const former = await readLastEvents(db, 1);
  const ada = await insertAdministrator(db, {
    ...{ name: 'ada', displayName: '', role: 'security', groups: null, createdBy: 'test' },
  });
  const { code } = await makeInvitation(db, ada, 'test');
  const opened = { administratorId: ada, method: 'password', secondFactor: false, address: '::1', client: '' };
  const session = await insertSession(db, opened);
  assert.ok((await findCode(db, code)) && (await findSession(db, session)));
  const settled = await settleRestored(url, head, by, { lists, masterKeys });
  assert.deepEqual(
    [await findCode(db, code), await findSession(db, session)],
    [undefined, undefined],
    'what may have ended since the backup opens nothing',
  );
  assert.deepEqual(settled.joinedHosts, ['there']);
  const { stream } = await readLastEvents(db, 1);
  const [placed] = await db`select count(*)::int as count from event where transaction is not null and kind = 'test'`;
  assert.deepEqual([stream === former.stream, placed?.['count']], [false, 0], 'live events begin anew');
  assert.deepEqual(
    [...(await db`select host from host_release`)],
    [{ host: 'here' }],
    'it may join with other releases',
  );
  assert.deepEqual([settled.revocationsTaken, settled.stopped], [1, ['server-1']]);
  const { revoked, number } = await revocationList(db);
  assert.deepEqual([revoked.map(({ serial }) => serial), number > 1e12], [['a7'], true]);
  const again = await settleRestored(url, head, by, { lists: [], masterKeys });
  assert.deepEqual([again.revocationsTaken, again.stopped], [null, []]);
  assert.ok((await revocationList(db)).number > number, 'the second restoring of one backup is above the first');
});

test('where the clock is behind, numbers are above the time of the backup and the former list', async () => {
  const takenAt = new Date(Date.now() + 86_400_000);
  const ahead = { ...head, takenAt: takenAt.toISOString() };
  await settleRestored(url, ahead, by, { lists: [], masterKeys });
  assert.ok((await revocationList(db)).number > takenAt.getTime());
  const former = takenAt.getTime() + 86_400_000;
  await writeState('router-2', listOf(former, domain.privateKeyPem));
  await settleRestored(url, ahead, by, { lists: await readFormerLists(home), masterKeys });
  assert.ok((await revocationList(db)).number > former);
});

test('a route signer that was retired after the backup does not sign in the restored domain', async () => {
  const { present } = await readRouteSigners(db);
  const restore = async (serials: string[]) => {
    await writeState('router-2', listOf(8, domain.privateKeyPem, serials));
    const lists = await readFormerLists(home);
    await settleRestored(url, head, by, { lists, masterKeys });
    return (await readRouteSigners(db)).present;
  };
  assert.equal(await restore(['a8']), present);
  const restored = await restore(['a8', normalSerial(present ?? '')]);
  assert.notEqual(restored, present);
  assert.equal((await loadRouteSigner(db, masterKeys)).name, 'route-signer');
});

test('a former home of another domain stops the restoring: what was revoked is not lost in silence', async () => {
  for (const router of ['router-1', 'router-2']) await rm(join(home, 'router', router), { recursive: true });
  const lists = await readFormerLists(home);
  assert.equal(lists.length, 1, 'of a stranger');
  await assert.rejects(settleRestored(url, head, by, { lists, masterKeys }), {
    code: 'ERR_INPUT',
    message: /signed by the domain of the backup.*Name another folder, or leave out --former-home/,
  });
});

test('a domain that was never restored cannot be resumed', async () => {
  await db`delete from setting where key = 'restored'`;
  await assert.rejects(resumeRestored(url, { user: 'bea', host: 'here' }), { code: 'ERR_STATE' });
});
