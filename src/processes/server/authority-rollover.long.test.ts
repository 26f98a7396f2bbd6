/** Devices while the device authority is replaced: served by both, renewed once, and in the end below the new one alone. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { testDomain } from '../../activation/activation-fixture.ts';
import { type DeviceId, newId } from '../../base/ids.ts';
import { createMasterKeys } from '../../database/sealed-value.ts';
import { countFormerIdentities } from '../../devices/former-identities.ts';
import { loadInstanceAuthorities } from '../../domain/authorities.ts';
import { createAuthorities } from '../../domain/authority-creation.ts';
import {
  readFormerIssuer,
  retireFormerDeviceAuthority,
  rollDeviceAuthority,
} from '../../domain/device-authority-roll.ts';
import { appleEnrolment } from '../../platforms/apple/enrolment-profiles.ts';
import { isIssuedBy } from '../../protocol/x509/certificate-chain.ts';
import { enrolByScep, limited, type TestDevice } from './device-handler-fixture.ts';
import { commandOf, createRenewalFixture, renewalFor, served } from './identity-renewal-fixture.ts';

const { stage, ask, turn, deliveries } = await createRenewalFixture();
const { fixture } = stage;
const { db } = fixture;
after(() => stage.close());
const keys = createMasterKeys();
await createAuthorities(db, keys, testDomain);
/** As instances look at them once a minute. */
const look = async () => {
  const authorities = await loadInstanceAuthorities(db, keys);
  fixture.setAuthorities({ formerDeviceDer: undefined, formerRegistration: undefined, ...authorities });
  return fixture.authorities;
};
await look();

const isBy = (certificateDer: Uint8Array, authorityDer: Uint8Array | undefined) =>
  authorityDer !== undefined && isIssuedBy(certificateDer, authorityDer, new Date());
const rootsOf = (facts: TestDevice['facts']) =>
  facts.authorityCertificatesDer.map((der) => new X509Certificate(der).fingerprint256).sort();
const fingerprints = (...ders: (Uint8Array | undefined)[]) =>
  ders.map((der) => new X509Certificate(der ?? '').fingerprint256).sort();
const left = async () => {
  const issuer = await readFormerIssuer(db);
  return issuer === null ? null : await countFormerIdentities(db, issuer);
};

test(
  'a device of the former authority is served, told of the new one, and renewed by it, whatever its date',
  limited,
  async () => {
    const device = await stage.activeDevice(true);
    const idle = await stage.activeDevice(true);
    await turn();
    const before = fixture.authorities;
    assert.ok(isBy(device.identity.certificateDer, before.device.certificateDer));

    await db.begin((tx) => rollDeviceAuthority(tx, keys, testDomain, new Date()));
    // An instance that has not looked yet serves as before.
    assert.ok(served(await device.connect({ status: 'Idle' })));
    const during = await look();
    assert.ok(!isBy(device.identity.certificateDer, during.device.certificateDer));
    assert.deepEqual(during.formerDeviceDer, before.device.certificateDer);
    assert.deepEqual(await left(), { valid: 2, ended: 0 });
    assert.ok(isBy(during.profileSigner.certificateDer, during.formerDeviceDer), 'what devices know signs');

    const newcomer = await stage.activeDevice(true);
    assert.ok(isBy(newcomer.identity.certificateDer, during.device.certificateDer));
    const both = fingerprints(during.domainCertificateDer, during.device.certificateDer, during.formerDeviceDer);
    assert.deepEqual(rootsOf(newcomer.facts), both);

    await turn();
    assert.deepEqual(await deliveries(newcomer), []);
    const renewal = await renewalFor(device);
    assert.ok(renewal);
    assert.deepEqual(rootsOf(renewal.facts), both);
    const next = await enrolByScep(renewal.facts, ask);
    assert.ok(isBy(next.certificateDer, during.device.certificateDer));
    assert.ok(served(await device.connect({ status: 'Acknowledged', commandUuid: renewal.commandUuid })));
    assert.deepEqual(await left(), { valid: 2, ended: 0 }, 'unused, it is not the device’s yet');
    const renewed = device.speaking(next);
    assert.ok(served(await renewed.connect({ status: 'Idle' })));
    assert.deepEqual(await left(), { valid: 1, ended: 0 });
    await turn();
    assert.equal((await deliveries(device)).length, 1);

    // A second rollover would leave devices with a root that nobody knows any more.
    await assert.rejects(
      db.begin((tx) => rollDeviceAuthority(tx, keys, testDomain, new Date())),
      { code: 'ERR_STATE' },
    );
    // What has ended holds nothing up.
    await db`update device set identity_expires_at = now() - interval '1 day' where id = ${await idle.deviceId()}`;
    assert.deepEqual(await left(), { valid: 0, ended: 1 });
    await db.begin((tx) => retireFormerDeviceAuthority(tx, keys, testDomain, new Date()));
    const afterwards = await look();
    assert.equal(await left(), null);
    assert.equal(afterwards.formerDeviceDer, undefined);
    assert.ok(isBy(afterwards.profileSigner.certificateDer, afterwards.device.certificateDer));
    assert.deepEqual(
      rootsOf((await stage.activeDevice(true)).facts),
      fingerprints(afterwards.domainCertificateDer, afterwards.device.certificateDer),
    );
    // A device that was away knows only the former one, and verifies what it is sent by the bridge.
    const bridge = afterwards.deviceBridgeDer ?? Buffer.of();
    assert.ok(isBy(bridge, before.device.certificateDer));
    assert.ok(isBy(afterwards.profileSigner.certificateDer, bridge));
    const offered = { deviceId: newId<DeviceId>(), token: 't'.repeat(43), challenge: 'c' };
    const facts = { authorities: afterwards, device: offered, accountName: 'ada' };
    const { body } = appleEnrolment.offer({ ...facts, domain: { ...testDomain, publicUrl: 'https://mdm.test' } }, true);
    assert.ok(body.includes(bridge));
    // Its fingerprint decides, as it always did.
    assert.ok(served(await idle.connect({ status: 'Idle' })));
    assert.equal(await commandOf(renewed, () => false), undefined);
  },
);
