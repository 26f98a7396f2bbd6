/** The SRP credential as a file: how an instance or connection service authenticates, and where its routers are. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BrambleError, messageOf } from '../base/errors.ts';
import { identifierShape } from './messages.ts';

export const routerAddressShape = z.object({
  host: z.string().min(1),
  port: z.number().int().min(1).max(65535),
  /** The name that the router's certificate is for. */
  serverName: z.string().min(1),
});
export type RouterAddress = z.output<typeof routerAddressShape>;

export const credentialShape = z.object({
  identifier: identifierShape,
  certificatePem: z.string().min(1),
  privateKeyPem: z.string().min(1),
  domainAuthorityPem: z.string().min(1),
  routers: z.array(routerAddressShape).min(1),
});
/** Contents of `BRAMBLE_HOME/credentials/<identifier>.json` (mode 0600). */
export type SrpCredential = z.output<typeof credentialShape>;

export function credentialPath(home: string, identifier: string): string {
  return join(home, 'credentials', `${identifier}.json`);
}

/** @throws BrambleError ERR_SRP_CREDENTIAL when the file is missing or is not a credential of this identifier. */
export async function readCredential(home: string, identifier: string): Promise<SrpCredential> {
  const path = credentialPath(home, identifierShape.parse(identifier));
  try {
    const credential = credentialShape.parse(JSON.parse(await readFile(path, 'utf8')));
    if (credential.identifier !== identifier) throw new Error(`it is the credential of ${credential.identifier}`);
    return credential;
  } catch (cause) {
    throw new BrambleError(
      'ERR_SRP_CREDENTIAL',
      `The SRP credential ${path} cannot be used (${messageOf(cause)}). Issue it again with: bramble srp issue.`,
      { cause, details: { identifier } },
    );
  }
}
