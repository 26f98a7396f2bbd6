/**
 * The rollover of the domain authority, in steps that an administrator orders, each one transaction:
 *
 *   begun     both are trusted, the former issues; `domain-other` is the successor
 *   switched  both are trusted, the successor issues: holders renew their credentials; `domain-other` is the former one
 *   retired   only the successor is trusted, and the former one's key is gone
 *
 * Each makes a statement (`link/trusted-authorities.ts`), signed by the authority that issued before it. From begun and switched
 * one turns back.
 *
 * Invariant: nothing is issued by an authority that is not trusted everywhere, and none is retired by which a component is known;
 * the caller has looked. Who was away, devices above all, is led from the former to the successor by a certificate of the one by
 * the other, the bridge, which stands behind what the successor issues.
 */
import { X509Certificate } from 'node:crypto';
import { BrambleError } from '../base/errors.ts';
import type { Transaction } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import type { Authority } from '../domain/authorities.ts';
import { generateNextRoot } from '../domain/authority-creation.ts';
import {
  insertStatement,
  loadOtherDomainAuthority,
  lockDomainAuthority,
  type OtherDomainAuthority,
  removeOtherDomainAuthority,
  replaceDomainAuthority,
  storeOtherDomainAuthority,
} from '../domain/other-domain-authority.ts';
import { readRouteSigners, replaceRouteSigner } from '../domain/route-signer-roll.ts';
import { signEnvelope } from '../link/signed-envelope.ts';
import { authorityFingerprint, type TrustStatement } from '../link/trusted-authorities.ts';
import { certifySuccessor } from '../protocol/x509/certificate.ts';
import { lastSaid } from './domain-trust.ts';
import { renumberRevocationList } from './srp-credential-store.ts';

/** Both are trusted from now on. @throws BrambleError ERR_STATE while another rollover is under way */
export async function rollDomainAuthority(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
): Promise<void> {
  const present = await lockDomainAuthority(tx, keys);
  if ((await loadOtherDomainAuthority(tx, keys)) !== undefined) {
    throw new BrambleError(
      'ERR_STATE',
      'The domain authority is being replaced already: `bramble authority list` shows how far.',
    );
  }
  if ((await readRouteSigners(tx)).former !== null) {
    throw new BrambleError(
      'ERR_STATE',
      'The route signer is being replaced. Retire the former one first: `bramble authority retire route-signer`.',
    );
  }
  const next = await generateNextRoot('domain', domain, now);
  await storeOtherDomainAuthority(tx, keys, { ...next, isNext: true });
  const bridge = certifySuccessor(present, next.certificateDer);
  await say(tx, present, now, { trusted: [present, next], issues: present, bridge });
}

/** The successor issues from now on. @throws BrambleError ERR_STATE where there is none */
export async function switchDomainAuthority(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
): Promise<void> {
  const { present, other } = await lockBoth(tx, keys);
  if (!other.isNext) throw new BrambleError('ERR_STATE', 'The new domain authority issues already.');
  await exchange(tx, keys, domain, now, { present, other });
}

/**
 * One step back: the former one issues again, or the successor goes.
 * @throws BrambleError ERR_STATE without a rollover
 */
export async function revertDomainAuthority(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
): Promise<void> {
  const { present, other } = await lockBoth(tx, keys);
  if (!other.isNext) return await exchange(tx, keys, domain, now, { present, other });
  await removeOtherDomainAuthority(tx);
  await say(tx, present, now, { trusted: [present], issues: present, without: other });
}

/** @throws BrambleError ERR_STATE unless the successor issues */
export async function retireDomainAuthority(tx: Transaction, keys: MasterKeys, now: Date): Promise<void> {
  const { present, other } = await lockBoth(tx, keys);
  if (other.isNext) {
    throw new BrambleError(
      'ERR_STATE',
      'The new domain authority does not issue yet: `bramble authority switch domain`.',
    );
  }
  await removeOtherDomainAuthority(tx);
  await say(tx, present, now, { trusted: [present], issues: present });
}

async function exchange(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
  { present, other }: { present: Authority; other: OtherDomainAuthority },
): Promise<void> {
  await replaceDomainAuthority(tx, keys, other);
  await storeOtherDomainAuthority(tx, keys, { ...present, isNext: !other.isNext });
  await say(tx, present, now, { trusted: [other, present], issues: other });
  // What stands below it, and what it has signed.
  await replaceRouteSigner(tx, keys, domain, now);
  await renumberRevocationList(tx);
}

/** Those of a rollover. @throws BrambleError ERR_STATE without one */
async function lockBoth(
  tx: Transaction,
  keys: MasterKeys,
): Promise<{ present: Authority; other: OtherDomainAuthority }> {
  const present = await lockDomainAuthority(tx, keys);
  const other = await loadOtherDomainAuthority(tx, keys);
  if (other !== undefined) return { present, other };
  throw new BrambleError(
    'ERR_STATE',
    'The domain authority is not being replaced. `bramble authority roll domain` begins it.',
  );
}

async function say(
  tx: Transaction,
  signer: Authority,
  now: Date,
  given: { trusted: readonly Authority[]; issues: Authority; bridge?: Buffer; without?: Authority },
): Promise<void> {
  const last = await lastSaid(tx);
  const bridges = [...last.bridges, ...(given.bridge === undefined ? [] : [given.bridge.toString('base64')])];
  // By the clock: after a restore it is above what anybody has heard since.
  const number = Math.max(last.number + 1, now.getTime());
  const statement: TrustStatement = {
    purpose: 'trusted domain authorities',
    number,
    trusted: given.trusted.map(({ certificateDer }) => certificateDer.toString('base64')),
    issues: authorityFingerprint(given.issues.certificateDer),
    bridges: bridges.filter((bridge) => isOfUse(bridge, now, given.without)).slice(-16),
  };
  await insertStatement(tx, number, signEnvelope(statement, signer.privateKeyPem));
}

/** One that has expired leads nowhere, nor does one to an authority that never came. */
function isOfUse(bridge: string, now: Date, without: Authority | undefined): boolean {
  const { validToDate, publicKey } = new X509Certificate(Buffer.from(bridge, 'base64'));
  const isGone = without !== undefined && publicKey.equals(new X509Certificate(without.certificateDer).publicKey);
  return validToDate > now && !isGone;
}
