/**
 * Properly signed certificates that none of our authorities would issue: each field can be replaced by other DER.
 * Only tests import it.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { contextTag } from '../der/reader.ts';
import { derBits, derBoolean, derElement, derInteger, derOctets, derOid, derSequence, derTime } from '../der/writer.ts';
import { spkiDerOf } from './key-pair.ts';
import { nameDer } from './name.ts';
import { signatureAlgorithmDer, signWith } from './signature-algorithm.ts';

export interface CertificateDraft {
  /** Signs; that of the issuer. */
  readonly key: KeyObject;
  readonly spkiDer?: Uint8Array;
  /** `[0]` and what is in it; empty for version 1. */
  readonly versionDer?: Uint8Array;
  readonly serialDer?: Uint8Array;
  readonly signedAlgorithmDer?: Uint8Array;
  readonly outerAlgorithmDer?: Uint8Array;
  readonly issuer?: string;
  readonly subject?: string;
  readonly subjectDer?: Uint8Array;
  readonly validityDer?: Uint8Array;
  /** Each with `draftExtension`; none leaves `[3]` out. */
  readonly extensions?: readonly Uint8Array[];
  /** Behind the extensions. */
  readonly surplusDer?: Uint8Array;
}

export function draftExtension(oid: string, critical: boolean | Uint8Array, valueDer: Uint8Array): Buffer {
  const flag = critical === true ? [derBoolean(true)] : critical === false ? [] : [critical];
  return derSequence(derOid(oid), ...flag, derOctets(valueDer));
}

export const authorityExtensions = [
  draftExtension('2.5.29.19', true, derSequence(derBoolean(true))),
  draftExtension('2.5.29.15', true, derBits(Uint8Array.of(0x06), 1)),
];

/** A certificate in DER, valid for a day around now. */
export function draftCertificate(draft: CertificateDraft): Buffer {
  const algorithmDer = signatureAlgorithmDer(draft.key);
  const day = 86_400_000;
  const [notBefore, notAfter] = [-day, day].map((shift) => derTime(new Date(Date.now() + shift)));
  const { extensions = [] } = draft;
  const tbs = derSequence(
    draft.versionDer ?? derElement(contextTag(0, true), derInteger(2)),
    draft.serialDer ?? derInteger(Uint8Array.of(0x42, 0x17)),
    draft.signedAlgorithmDer ?? algorithmDer,
    nameDer({ commonName: draft.issuer ?? 'Authority' }),
    draft.validityDer ?? derSequence(notBefore ?? derTime(new Date(0)), notAfter ?? derTime(new Date(0))),
    draft.subjectDer ?? nameDer({ commonName: draft.subject ?? 'Subject' }),
    draft.spkiDer ?? spkiDerOf(createPublicKey(draft.key)),
    ...(extensions.length === 0 ? [] : [derElement(contextTag(3, true), derSequence(...extensions))]),
    ...(draft.surplusDer === undefined ? [] : [draft.surplusDer]),
  );
  return derSequence(tbs, draft.outerAlgorithmDer ?? algorithmDer, derBits(signWith(draft.key, tbs).signature));
}
