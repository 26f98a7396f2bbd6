import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createAuthority, issueCertificate, randomSerialHex } from './certificate.ts';
import { isIssuedBy } from './certificate-chain.ts';
import { fingerprintOf } from './certificate-fields.ts';
import { buildCertificateRequest, readCertificateRequest } from './certificate-request.ts';
import { createEcKeyPair, type KeyAlgorithm, spkiDerOf } from './key-pair.ts';

const { privateKey, publicKey } = await createEcKeyPair();
const spkiDer = spkiDerOf(publicKey);

for (const algorithm of ['EC-P256', 'RSA-2048'] satisfies KeyAlgorithm[]) {
  test(`OpenSSL agrees with what an ${algorithm} authority issues`, async () => {
    const authority = await createAuthority({ commonName: 'Authority', algorithm, days: 30 });
    const serialHex = randomSerialHex();
    const certificateDer = issueCertificate({
      authority,
      publicKey: { spkiDer },
      subject: { commonName: 'S12345678', organizationalUnit: 'instances' },
      days: 90,
      serialHex,
      usage: 'both',
      dnsNames: ['router.example.org'],
      ipAddresses: ['127.0.0.1', '::1', '2001:db8::1:2'],
    });
    const issuer = new X509Certificate(authority.certificateDer);
    const certificate = new X509Certificate(certificateDer);
    assert.ok(issuer.ca && !certificate.ca);
    assert.ok(
      certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey) && issuer.verify(issuer.publicKey),
    );
    assert.equal(certificate.serialNumber.toLowerCase(), serialHex);
    assert.equal(certificate.subject, 'OU=instances\nCN=S12345678');
    assert.equal(certificate.checkHost('router.example.org'), 'router.example.org');
    for (const address of ['127.0.0.1', '::1', '2001:db8::1:2']) assert.equal(certificate.checkIP(address), address);
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    assert.equal(certificate.fingerprint256.replaceAll(':', '').toLowerCase(), fingerprintOf(certificateDer));
    assert.equal(certificate.validTo, issuer.validTo, 'not valid longer than its authority');
  });
}

test('a certificate is issued by its authority alone, and only while both are valid', async () => {
  const [authority, namesake] = await Promise.all(
    [1, 2].map(() => createAuthority({ commonName: 'Same name', algorithm: 'EC-P256', days: 30 })),
  );
  assert.ok(authority && namesake);
  const csrDer = buildCertificateRequest({ key: privateKey, publicKeySpkiDer: spkiDer, subject: { commonName: 'x' } });
  const order = { authority, publicKey: { csrDer }, subject: { commonName: 'y' }, days: 10, usage: 'client' } as const;
  const certificateDer = issueCertificate({ ...order, serialHex: randomSerialHex() });
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000);
  assert.equal(isIssuedBy(certificateDer, authority.certificateDer, inDays(0)), true);
  assert.equal(isIssuedBy(certificateDer, namesake.certificateDer, inDays(0)), false);
  assert.equal(isIssuedBy(certificateDer, authority.certificateDer, inDays(11)), false);
  assert.equal(isIssuedBy(certificateDer, authority.certificateDer, inDays(-1)), false);
  assert.equal(isIssuedBy(certificateDer.subarray(1), authority.certificateDer, inDays(0)), false);
  assert.throws(() => issueCertificate({ ...order, serialHex: 'xyz' }), { code: 'ERR_CERTIFICATE_ORDER' });
});

test('a request without proof of possession is refused', () => {
  const request = {
    key: privateKey,
    publicKeySpkiDer: spkiDer,
    subject: { commonName: 'x' },
    challengePassword: 'geheim',
  };
  const csrDer = buildCertificateRequest(request);
  assert.equal(readCertificateRequest(csrDer).challengePassword, 'geheim');
  const at = csrDer.indexOf('geheim');
  csrDer[at] = 0x47;
  assert.throws(() => readCertificateRequest(csrDer), { code: 'ERR_SIGNATURE_INVALID' });
});
