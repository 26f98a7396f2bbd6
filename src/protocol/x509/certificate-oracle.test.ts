/**
 * `@peculiar/x509` as the oracle: of every damaged certificate that our reader takes, the other one makes the same serial
 * number, names, times and extensions, and the same key where ours can be used. Seeded; `BRAMBLE_FUZZ_SEED`.
 */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { X509Certificate as OtherCertificate } from '@peculiar/x509';
import { derSeed, mutateDer } from '../../../test/fuzz/der-mutations.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { seededRandom } from '../../simulator/seeded-random.ts';
import { createCertificateKeys } from '../cms/certificate-keys.ts';
import { createAuthority, issueCertificate, randomSerialHex, selfSignedCertificate } from './certificate.ts';
import { extensionOid } from './certificate-extensions.ts';
import { type CertificateFields, readCertificate } from './certificate-fields.ts';
import { createRsaKeyPair, spkiDerOf } from './key-pair.ts';
import { readName } from './name.ts';

const seed = process.env['BRAMBLE_FUZZ_SEED'] ?? randomBytes(6).toString('hex');
const inputs = 4000;

const authority = await createAuthority({
  commonName: 'Authority',
  organization: 'Example',
  algorithm: 'EC-P256',
  days: 30,
});
const { privateKey: key, publicKey } = await createRsaKeyPair();
const subject = { commonName: 'device 1', organizationalUnit: 'fleet', organization: 'Example' };
const issued = issueCertificate({
  authority,
  publicKey: { spkiDer: spkiDerOf(publicKey) },
  subject,
  days: 10,
  serialHex: randomSerialHex(),
  usage: 'both',
  dnsNames: ['router.example.org'],
});
const seeds = [issued, authority.certificateDer, selfSignedCertificate({ key, subject, days: 1 })].map(derSeed);

test(`what our reader takes of a damaged certificate, another one reads in the same way, seed ${seed}`, () => {
  const keys = createCertificateKeys(0);
  let taken = 0;
  let usable = 0;
  for (let index = 0; index < inputs; index++) {
    const random = seededRandom(`${seed}/oracle/${index}`);
    const der = mutateDer(random, random.pick(seeds));
    const about = `input ${index} of seed ${seed}: ${der.toString('base64')}`;
    try {
      readCertificate(der);
    } catch (error) {
      assert.ok(error instanceof BrambleError, about);
      continue;
    }
    taken++;
    if (!agree(der, about)) continue;
    let key: KeyObject;
    try {
      key = keys.get(der).key;
    } catch (error) {
      assert.ok(error instanceof BrambleError, about);
      continue;
    }
    usable++;
    const other = Buffer.from(new OtherCertificate(Uint8Array.from(der)).publicKey.rawData);
    assert.ok(key.equals(createPublicKey({ key: other, format: 'der', type: 'spki' })), about);
  }
  assert.ok(
    usable > inputs / 50 && usable < taken && taken < inputs,
    `${taken} of ${inputs} were taken, ${usable} with key`,
  );
});

/** False where the other one cannot read it at all, for a reason that ours does not have. */
function agree(der: Uint8Array, about: string): boolean {
  const ours = readCertificate(der);
  let other: OtherCertificate;
  try {
    other = new OtherCertificate(Uint8Array.from(der));
  } catch (error) {
    // It has limits of its own, for numbers of some hundred octets, and reads as a time what stands where no time belongs.
    assert.match(messageOf(error), /Maximum ASN\.1 content length|Wrong input string for conversion/, about);
    return false;
  }
  const hex = (bytes: ArrayBuffer | Uint8Array) => Buffer.from(bytes as Uint8Array).toString('hex');
  // It prints no octet that is there for the sign alone.
  assert.equal(hex(ours.serial).replace(/^00(?=.)/, ''), other.serialNumber, about);
  assert.equal(ours.notBefore.getTime(), other.notBefore.getTime(), about);
  assert.equal(ours.notAfter.getTime(), other.notAfter.getTime(), about);
  assert.equal(hex(ours.subjectDer), hex(other.subjectName.toArrayBuffer()), about);
  assert.equal(hex(ours.issuerDer), hex(other.issuerName.toArrayBuffer()), about);
  const extensions = [...ours.extensions].map(([oid, { critical, valueDer }]) => [oid, critical, hex(valueDer)]);
  assert.deepEqual(extensions, extensionsOf(other, ours, hex) ?? extensions, about);
  const name = readName(ours.subjectDer);
  const fields = { commonName: 'CN', organization: 'O', organizationalUnit: 'OU' } as const;
  for (const field of ['commonName', 'organization', 'organizationalUnit'] as const) {
    assert.equal(name[field], other.subjectName.getField(fields[field])[0], about);
  }
  return true;
}

/** Undefined where it stumbles over the value of an extension that ours does not look at, and does not go by. */
function extensionsOf(other: OtherCertificate, ours: CertificateFields, hex: (bytes: ArrayBuffer) => string) {
  try {
    return Array.from(other.extensions, ({ type, critical, value }) => [type, critical, hex(value)]);
  } catch (error) {
    const known: readonly string[] = Object.values(extensionOid);
    if ([...ours.extensions.keys()].every((oid) => known.includes(oid))) throw error;
    return undefined;
  }
}
