import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contextTag } from '../der/reader.ts';
import { derBits, derBoolean, derElement, derInteger, derOctets, derOid, derSequence, derTime } from '../der/writer.ts';
import { isIssuedBy } from './certificate-chain.ts';
import { authorityExtensions, type CertificateDraft, draftCertificate, draftExtension } from './certificate-fixture.ts';
import { createEcKeyPair } from './key-pair.ts';

const { privateKey: key } = await createEcKeyPair();
const authority: CertificateDraft = { key, subject: 'Authority', extensions: authorityExtensions };
const leaf: CertificateDraft = { key, extensions: [draftExtension('2.5.29.19', true, derSequence())] };
const holds = (leafChange: Partial<CertificateDraft>, authorityChange: Partial<CertificateDraft> = {}) =>
  isIssuedBy(
    draftCertificate({ ...leaf, ...leafChange }),
    draftCertificate({ ...authority, ...authorityChange }),
    new Date(),
  );
const serial = (...octets: number[]) => ({ serialDer: derElement(0x02, Uint8Array.from(octets)) });
const generalized = (time: Date) =>
  derElement(0x18, Buffer.from(time.toISOString().replace(/[-:T]|\.\d{3}/g, ''), 'latin1'));
const text = (tag: number, time: string) => derElement(tag, Buffer.from(time, 'latin1'));
const soon = new Date(Date.now() + 86_400_000);
const critical = (oid: string) => draftExtension(oid, true, derSequence());

test('what a sound authority issued is believed, also with extensions that are unknown but not critical', () => {
  assert.equal(holds({}), true);
  const [basic = Buffer.alloc(0)] = leaf.extensions ?? [];
  assert.equal(
    holds({ extensions: [Buffer.from(basic), draftExtension('1.3.6.1.4.1.99999.1', false, derSequence())] }),
    true,
  );
  assert.equal(holds(serial(...Array<number>(20).fill(0x11))), true, 'a serial of 20 octets');
});

const refused: Record<string, Partial<CertificateDraft>> = {
  'an empty serial': serial(),
  'a serial of zero': serial(0),
  'a negative serial': serial(0x80),
  'a serial with a needless octet': serial(0, 0x11),
  'a serial of 21 octets': serial(...Array<number>(21).fill(0x11)),
  'an unknown critical extension': { extensions: [critical('1.3.6.1.4.1.99999.1')] },
  'critical name constraints': { extensions: [critical('2.5.29.30')] },
  'an extension that comes twice': { extensions: [...(leaf.extensions ?? []), ...(leaf.extensions ?? [])] },
  'a truth value that is neither': {
    extensions: [draftExtension('1.3.6.1.4.1.99999.1', derElement(0x01, Uint8Array.of(1)), derSequence())],
  },
  'no extensions in a list of them': { extensions: [], surplusDer: derElement(contextTag(3, true), derSequence()) },
  'another algorithm inside than outside': { signedAlgorithmDer: derSequence(derOid('1.2.840.10045.4.3.3')) },
  'other parameters inside than outside': {
    signedAlgorithmDer: derSequence(derOid('1.2.840.10045.4.3.2'), derElement(0x05)),
  },
  'version 1': { versionDer: Buffer.alloc(0), extensions: [] },
  'version 1 written out': { versionDer: derElement(contextTag(0, true), derInteger(0)), extensions: [] },
  'version 4': { versionDer: derElement(contextTag(0, true), derInteger(3)) },
  'something behind the extensions': { surplusDer: derOctets(Buffer.from('more')) },
  'a GeneralizedTime before 2050': { validityDer: derSequence(generalized(new Date(0)), derTime(soon)) },
  'a day that does not exist': { validityDer: derSequence(text(0x17, '260230000000Z'), derTime(soon)) },
  'a time with a zone': { validityDer: derSequence(text(0x17, '260101000000+0100'), derTime(soon)) },
  'a time without seconds': { validityDer: derSequence(text(0x17, '2601010000Z'), derTime(soon)) },
  'a time with fractions': { validityDer: derSequence(text(0x18, '20260101000000.5Z'), derTime(soon)) },
  'three times': { validityDer: derSequence(derTime(new Date(0)), derTime(soon), derTime(soon)) },
  'another issuer': { issuer: 'Somebody else' },
};
for (const [what, change] of Object.entries(refused)) {
  test(`${what} is refused, in a certificate and in its authority`, () => {
    assert.equal(holds(change), false);
    const { issuer: _, ...ofAuthority } = change;
    if (what !== 'another issuer') {
      const extensions =
        change.extensions === undefined ? {} : { extensions: [...authorityExtensions, ...change.extensions] };
      assert.equal(holds({}, { ...ofAuthority, ...(change.extensions?.length === 0 ? {} : extensions) }), false);
    }
  });
}

const usage = (bits: number, unused: number) => draftExtension('2.5.29.15', true, derBits(Uint8Array.of(bits), unused));
const [basic = Buffer.alloc(0), certSign = Buffer.alloc(0)] = authorityExtensions;
const noAuthorities: Record<string, readonly Uint8Array[]> = {
  'without basic constraints': [certSign],
  'without key usage': [basic],
  'whose constraints say that it is none': [draftExtension('2.5.29.19', true, derSequence()), certSign],
  'whose constraints say false': [draftExtension('2.5.29.19', true, derSequence(derBoolean(false))), certSign],
  'that may only sign revocation lists': [basic, usage(0x02, 1)],
  'with the key usages of a device': [basic, usage(0xa0, 5)],
  'with unused bits that are set': [basic, usage(0x07, 1)],
};
for (const [what, extensions] of Object.entries(noAuthorities)) {
  test(`an authority ${what} issues nothing`, () => {
    assert.equal(holds({}, { extensions }), false);
  });
}
