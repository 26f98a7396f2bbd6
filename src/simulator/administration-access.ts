/** Where the simulator finds an administration service, and the client that it asks there. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { accessFileShape } from '../api/access-file.ts';
import { type AdministrationClient, chooseInOrder, createAdministrationClient } from '../api/client.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { fetchTrusting } from './fetch-trusting.ts';

/** The administration service's current address: an upgrade gives it another port. */
export type FindAccess = () => Promise<AdministrationAccess>;

export interface AdministrationAccess {
  /** Tried in this order: any administration service of the domain will do. */
  readonly urls: readonly string[];
  readonly token: string;
  /** Root of the administration service's certificate, for https. */
  readonly caPem?: string;
}

/** Written by hand for a domain elsewhere, it may name who its certificate is from. */
const accessFile = accessFileShape.extend({ caPem: z.string().optional() });

/**
 * What `bramble up` wrote for the first administrator.
 * @throws BrambleError ERR_ADMIN_ACCESS when it cannot be read
 */
export async function readAdministrationAccess(home: string): Promise<AdministrationAccess> {
  const path = join(home, 'admin.json');
  try {
    const { url, urls, token, caPem } = accessFile.parse(JSON.parse(await readFile(path, 'utf8')));
    const all = url === undefined ? urls : [url, ...urls];
    if (all.length === 0) throw new RangeError('it contains no address');
    return { urls: all, token, ...(caPem === undefined ? {} : { caPem }) };
  } catch (cause) {
    throw new BrambleError(
      'ERR_ADMIN_ACCESS',
      `${path} does not say where the administration service is (${messageOf(cause)}). Start a domain with bramble up, ` +
        'set BRAMBLE_HOME, or give --admin-url and --token.',
      { cause },
    );
  }
}

const timeoutMs = 30_000;

/** Everything that the simulator changes can safely be repeated. */
export function openAdministration(findAccess: FindAccess, signal: AbortSignal): AdministrationClient {
  return createAdministrationClient({
    choose: chooseInOrder(findAccess),
    fetch: async (...request) => await fetchTrusting((await findAccess()).caPem)(...request),
    repeatable: true,
    timeoutMs,
    signal,
  });
}
