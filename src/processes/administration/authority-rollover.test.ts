/** The device authority is replaced over REST and `bramble`, and the former one retired by the upkeep, as its role. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { runBramble } from '../../cli/command-line-fixture.ts';
import { openDatabase } from '../../database/connection.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { seedDevice } from '../../devices/device-fixture.ts';
import { loadInstanceAuthorities } from '../../domain/authorities.ts';
import { rollDeviceAuthority } from '../../domain/device-authority-roll.ts';
import { readDomain } from '../../domain/domain.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { issueCertificate, randomSerialHex } from '../../protocol/x509/certificate.ts';
import { createRsaKeyPair, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { codeOf, startAdministration, whileUpgrading } from './administration-fixture.ts';
import { createCertificateUpkeep } from './certificate-upkeep.ts';

const admin = await startAdministration();
const { db, context, home } = admin;
let asRole: ReturnType<typeof openDatabase>;
before(async () => {
  await establishRoles(admin.databaseUrl, home);
  const address = urlForRole(admin.databaseUrl, (await readRoleCredentials(home)).get('administration'));
  asRole = openDatabase(address, { applicationName: 'bramble/administration/admin-1@test#2', max: 2 });
});
after(async () => {
  await asRole?.end({ timeout: 5 });
  await admin.close();
});

const bramble = (...argv: string[]) => runBramble(admin, argv);
const load = async () => await loadInstanceAuthorities(db, context.masterKeys);
const turn = async () =>
  await createCertificateUpkeep({
    ...{
      db: asRole,
      release: context.release,
      name: context.name,
      home,
      host: context.host,
      masterKeys: context.masterKeys,
    },
    ...{ clock: systemClock, log: silentLogger },
  }).turn();

test('until the upgrade is finalized no authority is replaced', async () => {
  await whileUpgrading(admin, async () => {
    const { status, body } = await admin.call('POST', '/authorities/device/roll');
    assert.deepEqual([status, codeOf(body)], [409, 'ERR_FEATURE_LOCKED']);
  });
});

test('bramble authority roll asks, replaces the authority once, and shows what the former one is kept for', async () => {
  const { device } = await load();
  const { publicKey } = await createRsaKeyPair();
  const certificate = issueCertificate({
    authority: device,
    publicKey: { spkiDer: spkiDerOf(publicKey) },
    ...{ subject: { commonName: 'a device' }, days: 30, serialHex: randomSerialHex(), usage: 'client' },
  });
  const [instance] = await db<{ id: string }[]>`select id from instance where name = 'one'`;
  const { deviceId } = await seedDevice(db, (instance?.id ?? '') as never, 'ada');
  await db`
    update device set identity_certificate = ${certificate}, identity_fingerprint = 'f', identity_issued_at = now(),
           identity_expires_at = now() + interval '30 days' where id = ${deviceId}`;

  assert.equal((await bramble('authority', 'roll')).code, 2);
  assert.deepEqual((await load()).device, device);
  const rolled = await bramble('authority', 'roll', '--yes');
  assert.equal(rolled.code, 0, rolled.errors);
  assert.match(rolled.output, /device +Example device authority of \d{4}-/);
  assert.match(rolled.output, /device-former +Example device authority /);
  assert.match(rolled.output, /1 valid identity of the former device authority is left/);
  const [former] = await db`select private_key from authority where name = 'device-former'`;
  assert.equal(former?.['private_key'], null);
  assert.match((await bramble('authority', 'roll', '--yes')).errors, /ERR_STATE/);

  // Neither so soon, nor while a valid one is left.
  await db`update device set identity_expires_at = now() - interval '1 day'`;
  await turn();
  assert.ok((await load()).formerDeviceDer);
  await db`update authority set created_at = now() - interval '10 minutes' where name = 'device-former'`;
  await db`update device set identity_expires_at = now() + interval '1 day'`;
  await turn();
  assert.ok((await load()).formerDeviceDer);
  await db`update device set identity_expires_at = now() - interval '1 day'`;
  await turn();
  const { formerDeviceDer, formerRegistration } = await load();
  assert.deepEqual([formerDeviceDer, formerRegistration], [undefined, undefined]);
  const kinds = (await db<{ kind: string }[]>`select kind from event order by id`).map(({ kind }) => kind);
  assert.deepEqual(kinds.slice(-2), ['device-authority-rolled', 'device-authority-retired']);
  assert.match((await bramble('audit', 'list')).output, /retire former device authority/);
});

test('of two who replace the authority at the same time one does, and the other is refused', async () => {
  const roll = async () =>
    await asRole.begin(
      async (tx) => await rollDeviceAuthority(tx, context.masterKeys, await readDomain(tx), new Date()),
    );
  const outcomes = await Promise.allSettled([roll(), roll()]);
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.code] : []));
  assert.deepEqual(refused, ['ERR_STATE']);
  const { device, formerDeviceDer } = await load();
  assert.notDeepEqual(device.certificateDer, formerDeviceDer);
});
