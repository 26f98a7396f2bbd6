/**
 * Delivery of SRP credentials to their holder. For a process on this host the file is put where it expects it
 * (`credentials/<identifier>.json`, 0600); for another host its contents are returned, once. The private key is stored
 * nowhere else. Invariant: a file is replaced atomically, so that a concurrent reader gets the old or the new one.
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SrpIdentifier } from '../../base/ids.ts';
import { notFound } from '../../base/not-found.ts';
import type { Transaction } from '../../database/connection.ts';
import { writeWholeFile } from '../../database/whole-file.ts';
import { loadDomainAuthority } from '../../domain/authorities.ts';
import { readDomainTrust } from '../../instances/domain-trust.ts';
import { issueSrpCredential } from '../../instances/srp-credentials.ts';
import { credentialPath, type SrpCredential } from '../../link/credential.ts';
import { routerAddresses } from '../../routers/router-addresses.ts';
import type { AdministrationContext } from './context.ts';

interface DeliveredCredential {
  serial: string;
  expiresAt: Date;
  /** Path of the file on this host, or null if its contents are returned instead. */
  path: string | null;
  /** The file's contents for a holder on another host. */
  credential: SrpCredential | null;
}

/**
 * Issues a credential and delivers it.
 * @throws BrambleError ERR_NOT_FOUND when no holder has the identifier, ERR_NO_ROUTER when no router's address is
 * known.
 */
export async function deliverSrpCredential(
  context: AdministrationContext,
  tx: Transaction,
  identifier: SrpIdentifier,
  holderIsHere: boolean,
): Promise<DeliveredCredential> {
  const [authority, trust, routers] = await Promise.all([
    loadDomainAuthority(tx, context.masterKeys),
    readDomainTrust(tx),
    routerAddresses(tx, context.home),
  ]);
  const issued = await issueSrpCredential(tx, {
    identifier,
    authority,
    trust,
    routers,
  });
  if (issued === 'not-found') throw notFound('SRP identifier', identifier);
  const credential: SrpCredential = { ...issued.file, routers: [...issued.file.routers] };
  const path = holderIsHere ? credentialPath(context.home, identifier) : null;
  if (path !== null) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeWholeFile(path, `${JSON.stringify(credential, null, 2)}\n`, 'w');
  }
  return {
    serial: issued.serial,
    expiresAt: issued.expiresAt,
    path,
    credential: path === null ? credential : null,
  };
}
