import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../base/error-codes.ts';
import { isBrambleError } from '../../base/errors.ts';
import { createCertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import { signDetached } from '../../protocol/cms/signing.ts';
import { selfSignedCertificate } from '../../protocol/x509/certificate.ts';
import { fingerprintOf } from '../../protocol/x509/certificate-fields.ts';
import { createRsaKeyPair } from '../../protocol/x509/key-pair.ts';
import { identityOf } from './identity.ts';

const body = Buffer.from('<plist/>');
const [mine, other] = await Promise.all(
  [createRsaKeyPair(), createRsaKeyPair()].map(async (made) => {
    const { privateKey: key } = await made;
    const certificateDer = selfSignedCertificate({ key, subject: { commonName: 'device' }, days: 1 });
    return {
      fingerprint: fingerprintOf(certificateDer),
      header: `:${certificateDer.toString('base64')}:`,
      signature: signDetached({ key, certificateDer, body }),
    };
  }),
);
assert.ok(mine !== undefined && other !== undefined);

function fails(code: ErrorCode, proof: Parameters<typeof identityOf>[0]): void {
  assert.throws(
    () => identityOf(proof),
    (error) => isBrambleError(error, code),
  );
}

test('a signature, a header, or both of one certificate prove an identity', () => {
  const proven = (proof: Parameters<typeof identityOf>[0]) => {
    const { fingerprint, overTls } = identityOf(proof);
    return [fingerprint, overTls];
  };
  assert.deepEqual(proven({ mdmSignature: mine.signature, body }), [mine.fingerprint, false]);
  assert.deepEqual(proven({ clientCertHeader: mine.header, body }), [mine.fingerprint, true]);
  const both = { mdmSignature: mine.signature, clientCertHeader: mine.header, body };
  assert.deepEqual(proven(both), [mine.fingerprint, true]);
  const two = identityOf({ mdmSignature: mine.signature, clientCertHeader: other.header, body });
  assert.deepEqual([two.fingerprint, two.otherInTls], [mine.fingerprint, other.fingerprint]);
  assert.equal(identityOf({ ...both }).otherInTls, undefined);
});

test('no proof, and a proof that does not hold are refused', () => {
  fails('ERR_IDENTITY_MISSING', { body });
  fails('ERR_SIGNATURE_INVALID', { mdmSignature: mine.signature, body: Buffer.from('<plist></plist>') });
  fails('ERR_SIGNATURE_INVALID', { mdmSignature: '', clientCertHeader: mine.header, body });
});

test('a header that holds no certificate is refused', () => {
  for (const header of ['', '::', 'MIIB', ':MIIB', ':###:', ':aGVsbG9=:', `:${'A'.repeat(20_000)}:`]) {
    fails('ERR_CLIENT_CERT_HEADER', { clientCertHeader: header, body });
  }
});

test('a header that was read before proves the same identity again, also when the cache is full, and a bad one never', () => {
  const keys = createCertificateKeys(1);
  for (let round = 0; round < 3; round++) {
    const read: string[] = [mine, other, mine, mine].map(
      (device) => identityOf({ clientCertHeader: device.header, body }, keys).fingerprint,
    );
    assert.deepEqual(read, [mine.fingerprint, other.fingerprint, mine.fingerprint, mine.fingerprint]);
    assert.throws(() => identityOf({ clientCertHeader: `${mine.header}x`, body }, keys), {
      code: 'ERR_CLIENT_CERT_HEADER',
    });
  }
});
