import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createPrivateKey, hash, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { isBrambleError } from '../../base/errors.ts';
import { lacks } from '../../testing/clients.ts';
import { derElement, derInteger, derNull, derOctets, derOid, derSequence } from '../der/writer.ts';
import { createAuthority, issueCertificate, randomSerialHex, selfSignedCertificate } from '../x509/certificate.ts';
import { fingerprintOf, readCertificate } from '../x509/certificate-fields.ts';
import { createKeyPair, type KeyAlgorithm, privateKeyPemOf, spkiDerOf } from '../x509/key-pair.ts';
import { createCertificateKeys } from './certificate-keys.ts';
import { cmsOid, readSignedData } from './signed-data.ts';
import { bundleCertificates, contentInfoDer, signAttached, signDetached } from './signing.ts';
import { verifyAttached, verifyDetached } from './verification.ts';

const run = promisify(execFile);
const authority = await createAuthority({ commonName: 'Test authority', algorithm: 'EC-P256', days: 30 });

async function identity(algorithm: KeyAlgorithm) {
  const { privateKey, publicKey } = await createKeyPair(algorithm);
  const certificateDer = issueCertificate({
    authority,
    publicKey: { spkiDer: spkiDerOf(publicKey) },
    subject: { commonName: `device ${algorithm}` },
    days: 10,
    serialHex: randomSerialHex(),
    usage: 'client',
  });
  return { key: privateKey, certificateDer };
}
const rsa = await identity('RSA-2048');
const ec = await identity('EC-P256');
const refuses = (signature: string, body: Uint8Array) =>
  assert.throws(() => verifyDetached(signature, body), { code: 'ERR_SIGNATURE_INVALID' });

test('what was signed verifies and names its certificate, detached and attached, RSA and EC', () => {
  const keys = createCertificateKeys();
  fc.assert(
    fc.property(fc.uint8Array(), fc.constantFrom(rsa, ec), fc.boolean(), (body, signer, timed) => {
      const request = { ...signer, body, ...(timed ? { signingTime: new Date(0) } : {}) };
      const { fingerprint } = verifyDetached(signDetached(request), body, keys);
      assert.equal(fingerprint, fingerprintOf(signer.certificateDer));
      const attached = signAttached(request);
      assert.equal(verifyDetached(attached.toString('base64'), body, keys).fingerprint, fingerprint);
      assert.deepEqual(Buffer.from(verifyAttached(attached, keys).content), Buffer.from(body));
    }),
    { numRuns: 40 },
  );
});

test('a changed body is refused, detached and attached', () => {
  const body = Buffer.from('body');
  refuses(signDetached({ ...rsa, body }), Buffer.from('Body'));
  refuses(signAttached({ ...rsa, body }).toString('base64'), Buffer.from('Body'));
});

test('a signature by another key than that of the named certificate is refused', () => {
  const body = Buffer.from('body');
  const forged = { key: createPrivateKey(authority.privateKeyPem), certificateDer: ec.certificateDer };
  refuses(signDetached({ ...forged, body }), body);
});

test('the certificate of the signer is chosen, not the first one', () => {
  const body = Buffer.from('body');
  const signature = signDetached({ ...rsa, body, chainDer: [ec.certificateDer] });
  assert.equal(verifyDetached(signature, body).fingerprint, fingerprintOf(rsa.certificateDer));
  const der = Buffer.from(signature, 'base64');
  const own = der.indexOf(rsa.certificateDer);
  const swapped = Buffer.concat([
    der.subarray(0, own),
    ec.certificateDer,
    rsa.certificateDer,
    der.subarray(own + rsa.certificateDer.length + ec.certificateDer.length),
  ]).toString('base64');
  assert.equal(verifyDetached(swapped, body).fingerprint, fingerprintOf(rsa.certificateDer));
});

test('whatever is damaged is ERR_SIGNATURE_INVALID or still the same certificate, and nothing else', () => {
  const body = Buffer.from('body');
  const good = Buffer.from(signDetached({ ...ec, body }), 'base64');
  const wanted = fingerprintOf(ec.certificateDer);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, octet, length) => {
      const damaged = Buffer.from(good.subarray(0, Math.max(length, good.length - 3)));
      if (at < damaged.length) damaged[at] = octet;
      try {
        // A bit of the certificate's own signature may change: that is another fingerprint, which the caller refuses.
        const { fingerprint } = verifyDetached(damaged.toString('base64'), body);
        assert.ok(fingerprint === wanted || at >= good.indexOf(ec.certificateDer));
      } catch (error) {
        assert.ok(isBrambleError(error, 'ERR_SIGNATURE_INVALID'), String(error));
      }
    }),
    { numRuns: 1000 },
  );
  refuses('', body);
  refuses('A'.repeat(70_000), body);
  refuses(bundleCertificates([rsa.certificateDer]).toString('base64'), body);
});

/** A SignedData with every part as it is wanted; by default what a detached signature over `body` would be. */
function crafted(options: {
  body: Buffer;
  attributes?: Uint8Array[] | undefined;
  /** What is signed, where that is not what the rules say. */
  signedOver?: Uint8Array;
  signers?: number;
  signatureAlgorithm?: Uint8Array;
  digestOid?: string;
}): string {
  const { body, attributes, signers = 1, digestOid = sha256Oid } = options;
  const { issuerDer, serial } = readCertificate(rsa.certificateDer);
  const set = attributes === undefined ? undefined : derElement(0x31, ...attributes);
  const signature = sign('sha256', options.signedOver ?? set ?? body, rsa.key);
  const signer = derSequence(
    derInteger(1),
    derSequence(issuerDer, derInteger(serial)),
    derSequence(derOid(digestOid)),
    ...(attributes === undefined ? [] : [derElement(0xa0, ...attributes)]),
    options.signatureAlgorithm ?? derSequence(derOid('1.2.840.113549.1.1.1'), derNull()),
    derOctets(signature),
  );
  return contentInfoDer(
    cmsOid.signedData,
    derSequence(
      derInteger(1),
      derElement(0x31, derSequence(derOid(digestOid))),
      derSequence(derOid(cmsOid.data)),
      derElement(0xa0, rsa.certificateDer),
      derElement(0x31, ...Array.from({ length: signers }, () => signer)),
    ),
  ).toString('base64');
}
/** 5 KB of which nothing is needed. */
function signedWithLongName(): Buffer {
  return selfSignedCertificate({ key: ec.key, subject: { commonName: 'x'.repeat(5000) }, days: 1 });
}
const sha256Oid = '2.16.840.1.101.3.4.2.1';
const attribute = (oid: string, ...values: Uint8Array[]) => derSequence(derOid(oid), derElement(0x31, ...values));
const typeAttribute = attribute(cmsOid.contentType, derOid(cmsOid.data));
const digestAttribute = (body: Uint8Array) =>
  attribute(cmsOid.messageDigest, derOctets(hash('sha256', body, 'buffer')));

test('a signature of attributes is none of a content that looks like them', () => {
  const body = Buffer.from('what was signed');
  const attributes = [typeAttribute, digestAttribute(body)];
  assert.equal(verifyDetached(crafted({ body, attributes }), body).fingerprint, fingerprintOf(rsa.certificateDer));
  // The same signature once more, with the attributes taken away: what it covers is now the content itself.
  const stolen = derElement(0x31, ...attributes);
  refuses(crafted({ body: stolen }), stolen);
  const plain = Buffer.from('<plist/>');
  assert.equal(verifyDetached(crafted({ body: plain }), plain).fingerprint, fingerprintOf(rsa.certificateDer));
});

test('signed attributes: content type and digest exactly once, with one value each', () => {
  const body = Buffer.from('body');
  const digest = digestAttribute(body);
  const lists: Record<string, Uint8Array[]> = {
    'no digest': [typeAttribute],
    'no content type': [digest],
    none: [],
    'two digests': [typeAttribute, digest, digest],
    'two values': [
      typeAttribute,
      attribute(cmsOid.messageDigest, derOctets(hash('sha256', body, 'buffer')), derNull()),
    ],
    'no value': [typeAttribute, attribute(cmsOid.messageDigest)],
    'another type': [attribute(cmsOid.contentType, derOid(cmsOid.signedData)), digest],
    'another digest': [typeAttribute, digestAttribute(Buffer.from('Body'))],
  };
  for (const [what, attributes] of Object.entries(lists)) {
    assert.throws(() => verifyDetached(crafted({ body, attributes }), body), { code: 'ERR_SIGNATURE_INVALID' }, what);
  }
});

test('there is exactly one signer, and its algorithms are listed and agree', () => {
  const body = Buffer.from('body');
  refuses(crafted({ body, signers: 0 }), body);
  refuses(crafted({ body, signers: 2 }), body);
  const accepts = (change: object) =>
    assert.equal(verifyDetached(crafted({ body, ...change }), body).fingerprint, fingerprintOf(rsa.certificateDer));
  accepts({ signatureAlgorithm: derSequence(derOid('1.2.840.113549.1.1.1'), derNull()) });
  accepts({ signatureAlgorithm: derSequence(derOid('1.2.840.113549.1.1.11'), derNull()) });
  refuses(crafted({ body, signatureAlgorithm: derSequence(derOid('1.2.840.113549.1.1.12'), derNull()) }), body);
  refuses(crafted({ body, digestOid: '2.16.840.1.101.3.4.2.3' }), body);
  refuses(crafted({ body, digestOid: '1.2.840.113549.2.5' }), body);
});

test('BER is read where devices write it, and certificates are DER even there', () => {
  const body = Buffer.from('body');
  const der = Buffer.from(crafted({ body, attributes: [typeAttribute, digestAttribute(body)] }), 'base64');
  const ber = Buffer.concat([Uint8Array.of(0x30, 0x80), der.subarray(4), Buffer.alloc(2)]);
  assert.equal(verifyDetached(ber.toString('base64'), body).fingerprint, fingerprintOf(rsa.certificateDer));
  assert.throws(() => verifyAttached(ber), { code: 'ERR_SIGNATURE_INVALID' });
  assert.throws(() => readSignedData(ber), { code: 'ERR_DER_MALFORMED' });
  const at = der.indexOf(rsa.certificateDer);
  const inBer = Buffer.concat([Uint8Array.of(0x30, 0x80), rsa.certificateDer.subarray(4), Buffer.alloc(2)]);
  const changed = Buffer.concat([der.subarray(4, at), inBer, der.subarray(at + rsa.certificateDer.length)]);
  refuses(Buffer.concat([der.subarray(0, 4), changed]).toString('base64'), body);
});

test('a bundle gives its certificates back', () => {
  const { certificates, signers } = readSignedData(bundleCertificates([rsa.certificateDer, ec.certificateDer]));
  assert.deepEqual(
    certificates.map(fingerprintOf),
    [rsa, ec].map(({ certificateDer }) => fingerprintOf(certificateDer)),
  );
  assert.equal(signers.length, 0);
});

test('the cache of certificates stays bounded, and keeps none that is longer than those of devices', () => {
  const long = signedWithLongName();
  const cache = createCertificateKeys();
  assert.notEqual(cache.get(long), cache.get(long));

  const keys = createCertificateKeys(1);
  const first = keys.get(rsa.certificateDer);
  assert.equal(keys.get(rsa.certificateDer), first);
  keys.get(ec.certificateDer);
  assert.notEqual(keys.get(rsa.certificateDer), first);
});

test('what OpenSSL signs verifies, and the other way round', { skip: lacks('openssl') }, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-cms-'));
  context.after(() => rm(folder, { recursive: true }));
  const at = (name: string) => join(folder, name);
  const pem = (der: Uint8Array) =>
    `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`;
  const body = Buffer.from('<plist>body</plist>\n'.repeat(400));
  await writeFile(at('body'), body);
  await writeFile(at('ca.pem'), pem(authority.certificateDer));
  for (const [name, signer] of Object.entries({ rsa, ec })) {
    await writeFile(at(`${name}.key`), privateKeyPemOf(signer.key));
    await writeFile(at(`${name}.pem`), pem(signer.certificateDer));
    const variants = [
      [],
      ['-nodetach'],
      ['-md', 'sha1'],
      ['-md', 'sha512'],
      ['-stream', '-nodetach'],
      ['-keyid'],
      ['-noattr'],
    ];
    variants.push(['-stream', '-indef', '-nodetach', '-md', 'sha384'], ['-noattr', '-nodetach']);
    for (const variant of variants) {
      const input = ['-binary', '-in', at('body'), '-signer', at(`${name}.pem`), '-inkey', at(`${name}.key`)];
      await run('openssl', ['cms', '-sign', ...input, '-outform', 'DER', '-out', at('out'), ...variant]);
      const signature = (await readFile(at('out'))).toString('base64');
      const label = `${name} ${variant.join(' ')}`;
      if (variant.includes('-stream')) assert.equal(Buffer.from(signature, 'base64')[1], 0x80, 'indefinite length');
      assert.equal(verifyDetached(signature, body).fingerprint, fingerprintOf(signer.certificateDer), label);
      refuses(signature, body.subarray(1));
    }
    await writeFile(at('own'), Buffer.from(signDetached({ ...signer, body, signingTime: new Date() }), 'base64'));
    const check = [
      '-inform',
      'DER',
      '-in',
      at('own'),
      '-CAfile',
      at('ca.pem'),
      '-purpose',
      'any',
      '-out',
      at('checked'),
    ];
    await run('openssl', ['cms', '-verify', '-binary', '-content', at('body'), ...check]);
    assert.deepEqual(await readFile(at('checked')), body);
  }
});
