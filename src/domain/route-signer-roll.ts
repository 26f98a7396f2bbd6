/**
 * The rollover of the route signer: a second one signs routes, and both are believed until the former is retired.
 *
 *   begun    `route-signer` is the new one; `route-signer-former` is the one before, with its key, so that one can turn back
 *   retired  the former's key is gone, and its serial is on the list of revocations, by which routers refuse it
 *
 * Invariant: each is one transaction. Turning back changes the roles: what is retired in the end is always the one that does
 * not sign.
 */
import { X509Certificate } from 'node:crypto';
import { BrambleError } from '../base/errors.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import { readCertificate } from '../protocol/x509/certificate-fields.ts';
import {
  type Authority,
  loadAuthorities,
  loadAuthority,
  loadRouteSigner,
  removeAuthorities,
  replaceAuthority,
  storeAuthority,
} from './authorities.ts';
import { generateSigner } from './authority-creation.ts';

/** The serial numbers of the one that signs and of the one before, as `X509Certificate` writes them; null without one. */
export async function readRouteSigners(q: Queryable): Promise<{ present: string | null; former: string | null }> {
  const rows = await q<{ name: string; certificate: Buffer }[]>`
    select name, certificate from authority where name in ('route-signer', 'route-signer-former')`;
  const serialOf = (name: string) => {
    const row = rows.find((each) => each.name === name);
    return row === undefined ? null : new X509Certificate(row.certificate).serialNumber;
  };
  return { present: serialOf('route-signer'), former: serialOf('route-signer-former') };
}

/**
 * Of two at the same time, the second one waits for the first, and is refused.
 * @throws BrambleError ERR_STATE while the former one is not retired, ERR_MASTER_KEY or ERR_SEALED_VALUE
 */
export async function rollRouteSigner(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
): Promise<void> {
  const { signer: former } = await loadRouteSigner(tx, keys);
  if (!(await storeAuthority(tx, keys, 'route-signer-former', former))) {
    throw new BrambleError(
      'ERR_STATE',
      'The route signer was replaced before, and routers still believe the former one. Retire it first: `bramble authority retire ' +
        'route-signer`.',
    );
  }
  await replaceRouteSigner(tx, keys, domain, now);
}

/** By one whose key nobody has seen; what is trusted of the present one stays as it is. */
export async function replaceRouteSigner(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
): Promise<void> {
  const { signer } = await loadRouteSigner(tx, keys);
  const successor = await generateSigner('route-signer', await loadAuthorities(tx, keys), domain, now);
  await replaceAuthority(tx, keys, 'route-signer', signer, successor);
}

/** The former one signs again, and the new one is what is to be retired. @throws BrambleError ERR_STATE without a rollover */
export async function revertRouteSigner(tx: Transaction, keys: MasterKeys): Promise<void> {
  const former = await requireFormer(tx, keys);
  const { signer } = await loadRouteSigner(tx, keys);
  await replaceAuthority(tx, keys, 'route-signer', signer, former);
  await replaceAuthority(tx, keys, 'route-signer-former', former, signer);
}

/**
 * The caller has made sure that every instance signs by the present one, and has the former revoked.
 * @returns what is to be revoked
 * @throws BrambleError ERR_STATE without a rollover
 */
export async function retireFormerRouteSigner(
  tx: Transaction,
  keys: MasterKeys,
): Promise<{ serial: string; expiresAt: string }> {
  const { certificateDer } = await requireFormer(tx, keys);
  await removeAuthorities(tx, ['route-signer-former']);
  const { serialNumber } = new X509Certificate(certificateDer);
  return { serial: serialNumber, expiresAt: readCertificate(certificateDer).notAfter.toISOString() };
}

async function requireFormer(tx: Transaction, keys: MasterKeys): Promise<Authority> {
  // Held until the end: retiring and turning back at the same time come one after the other.
  await tx`select from authority where name in ('route-signer', 'route-signer-former') order by name for update`;
  const former = await loadAuthority(tx, keys, 'route-signer-former');
  if (former !== undefined) return former;
  throw new BrambleError(
    'ERR_STATE',
    'The route signer is not being replaced: there is no former one. `bramble authority roll route-signer` replaces it.',
  );
}
