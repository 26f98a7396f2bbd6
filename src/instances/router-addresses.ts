/** The addresses that instances and connection services of a host dial: part of a credential file. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { readSetting } from '../domain/settings.ts';
import { type RouterAddress, readCredential, routerAddressShape } from '../link/credential.ts';

/** Setting 'routers'. */
export const routersSetting = z.object({ addresses: z.array(routerAddressShape).default([]) });

/**
 * From the setting, or, in a domain created without it, from a credential in this home.
 * @throws BrambleError ERR_NO_ROUTER when neither exists.
 */
export async function routerAddresses(q: Queryable, home: string): Promise<RouterAddress[]> {
  const { addresses } = await readSetting(q, 'routers', routersSetting);
  if (addresses.length > 0) return addresses;
  const names = await readdir(join(home, 'credentials')).catch((): string[] => []);
  for (const name of names.sort()) {
    const identifier = /^([SC]\d{8})\.json$/.exec(name)?.[1];
    if (identifier !== undefined) return (await readCredential(home, identifier)).routers;
  }
  throw new BrambleError(
    'ERR_NO_ROUTER',
    'No router of the domain is known yet, so the credential would not contain an address to dial. Start a router ' +
      'first.',
  );
}
