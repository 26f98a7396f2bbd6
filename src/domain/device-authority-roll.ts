/**
 * The rollover of the device authority: a second one issues identities, and both are trusted until no valid identity of the
 * former is left. What signs profiles stays below the former until then, so that a device that knows only that one can
 * verify what brings it the other.
 *
 *   begun    `device` is the new one; `device-former` has the certificate of the one before, whose key is gone;
 *            `registration` is below the new one, and `registration-former` opens requests that are under way
 *   retired  the profile signer is below the new one, and both former rows are gone; `device-bridge`, the new one's certificate by
 *            the former, stays: it goes along with what is signed for devices that know only the former
 *
 * Invariant: each is one transaction, so an instance finds either all of it or nothing. Which authority issued an identity
 * is read from its certificate: the clocks of the hosts that issue do not matter.
 */
import { BrambleError } from '../base/errors.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import { certifySuccessor } from '../protocol/x509/certificate.ts';
import { isIssuedBy } from '../protocol/x509/certificate-chain.ts';
import { readCertificate } from '../protocol/x509/certificate-fields.ts';
import { loadAuthorities, loadAuthority, removeAuthorities, replaceAuthority, storeAuthority } from './authorities.ts';
import { generateNextRoot, generateSigner } from './authority-creation.ts';

/** Instances look at their authorities once a minute: until then some issue by the former. */
const lateIssuesMinutes = 5;
/** An instance that could not look for so long has no lease any more. */
const lastIssueMinutes = 60;

/** The former device authority. */
export interface FormerIssuer {
  /** As certificates that it issued have it (DER). */
  readonly name: Buffer;
  /** By then every instance issues by its successor, by the database's time. */
  readonly lastIssueAt: Date;
}

/** Null without a rollover. */
export async function readFormerIssuer(q: Queryable): Promise<FormerIssuer | null> {
  const [row] = await q<{ certificate: Buffer; lastIssueAt: Date }[]>`
    select certificate, created_at + make_interval(mins => ${lastIssueMinutes}) as "lastIssueAt"
      from authority where name = 'device-former'`;
  if (row === undefined) return null;
  return { name: Buffer.from(readCertificate(row.certificate).subjectDer), lastIssueAt: row.lastIssueAt };
}

/**
 * Of two at the same time, the second one waits for the first, and is refused.
 * @throws BrambleError ERR_STATE while the former one is not retired, ERR_MASTER_KEY or ERR_SEALED_VALUE
 */
export async function rollDeviceAuthority(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
): Promise<void> {
  const { domain: domainAuthority, device: former } = await loadAuthorities(tx, keys);
  const { certificateDer } = former;
  if (!(await storeAuthority(tx, keys, 'device-former', { certificateDer, privateKeyPem: null }))) {
    throw new BrambleError(
      'ERR_STATE',
      'The device authority was replaced before, and the former one is still trusted: `bramble authority list` shows for how ' +
        'many identities.',
    );
  }
  const formerRegistration = await loadAuthority(tx, keys, 'registration');
  const successor = await generateNextRoot('device', domain, now);
  const roots = { domain: domainAuthority, device: successor };
  // The former's key goes now: who is still led by it, a device that was away for a year above all, needs this.
  const bridge = certifySuccessor(former, successor.certificateDer);
  await removeAuthorities(tx, ['device-bridge']);
  await storeAuthority(tx, keys, 'device-bridge', { certificateDer: bridge, privateKeyPem: null });
  const registration = await generateSigner('registration', roots, domain, now);
  await replaceAuthority(tx, keys, 'device', former, successor);
  if (formerRegistration === undefined) await storeAuthority(tx, keys, 'registration', registration);
  else {
    await storeAuthority(tx, keys, 'registration-former', formerRegistration);
    await replaceAuthority(tx, keys, 'registration', formerRegistration, registration);
  }
}

/** Whether the rollover began so long ago that every instance issues by the new one. */
export async function isRollSettled(q: Queryable): Promise<boolean> {
  const rows = await q`
    select from authority where name = 'device-former' and created_at < now() - make_interval(mins => ${lateIssuesMinutes})`;
  return rows.length > 0;
}

/** The caller has made sure that no valid identity of the former one is left. */
export async function retireFormerDeviceAuthority(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
): Promise<void> {
  const roots = await loadAuthorities(tx, keys);
  const signer = await loadAuthority(tx, keys, 'profile-signer');
  if (signer !== undefined && !isIssuedBy(signer.certificateDer, roots.device.certificateDer, now)) {
    const successor = await generateSigner('profile-signer', roots, domain, now);
    await replaceAuthority(tx, keys, 'profile-signer', signer, successor);
  }
  await removeAuthorities(tx, ['device-former', 'registration-former']);
}
