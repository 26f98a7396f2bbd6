/** Where the command line finds an administration service, and the token to use. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type * as z from 'zod';
import { accessFileShape } from '../api/access-file.ts';
import { BrambleError } from '../base/errors.ts';
import { announcedAddresses } from '../component/service-address.ts';

export interface AdministrationAccess {
  /** Tried in this order. */
  urls: readonly string[];
  token: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** BRAMBLE_HOME: `/var/lib/bramble` for root, otherwise `.bramble` if there is one. */
export function homeFolder(environment: Environment): string {
  return environment['BRAMBLE_HOME'] ?? (process.getuid?.() === 0 ? '/var/lib/bramble' : resolve('.bramble'));
}

/**
 * From `--url` and `--token`, then BRAMBLE_URL and BRAMBLE_TOKEN, then `admin.json` in BRAMBLE_HOME with what the
 * services of this host announced.
 * @throws BrambleError ERR_ADMIN_ACCESS when no token is known, ERR_ADMIN_UNREACHABLE when no address is, ERR_ADMIN_ADDRESS for an invalid address.
 */
export async function resolveAccess(
  flags: { url?: string | undefined; token?: string | undefined },
  environment: Environment,
): Promise<AdministrationAccess> {
  const home = homeFolder(environment);
  const given = flags.url ?? environment['BRAMBLE_URL'];
  const token = flags.token ?? environment['BRAMBLE_TOKEN'];
  const file = given !== undefined && token !== undefined ? undefined : await readAccessFile(home);
  const urls =
    given !== undefined
      ? given.split(',').map(addressOf)
      : [...new Set([file?.url, ...(file?.urls ?? []), ...(await announcedAddresses(home))])].filter(
          (url) => url !== undefined,
        );
  const chosen = token ?? file?.token;
  if (chosen === undefined) {
    throw new BrambleError(
      'ERR_ADMIN_ACCESS',
      `There is no administrator token: ${join(home, 'admin.json')} does not say. Start a domain with \`bramble up\`, set ` +
        'BRAMBLE_HOME, or give --url and --token (BRAMBLE_URL and BRAMBLE_TOKEN).',
    );
  }
  if (urls.length === 0) {
    throw new BrambleError(
      'ERR_ADMIN_UNREACHABLE',
      `The domain is not running: no administration service of ${home} contains its address. Start it with ` +
        '`bramble up` or `npm start`, or give the address of a service elsewhere with --url (BRAMBLE_URL).',
    );
  }
  return { urls: urls.map((url) => url.replace(/\/+$/, '')), token: chosen };
}

/**
 * The address of a service as typed: `host:port` means HTTP, as on loopback.
 * @throws BrambleError ERR_ADMIN_ADDRESS
 */
function addressOf(typed: string): string {
  const text = typed.trim();
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  const plain = url !== null && url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '';
  if (plain && (url.protocol === 'http:' || url.protocol === 'https:')) return url.origin;
  throw new BrambleError(
    'ERR_ADMIN_ADDRESS',
    `"${text}" is not the address of an administration service: give host:port, or http:// or https:// with host and port, ` +
      'and no path. Several are separated by commas.',
  );
}

async function readAccessFile(home: string): Promise<z.output<typeof accessFileShape> | undefined> {
  try {
    return accessFileShape.parse(JSON.parse(await readFile(join(home, 'admin.json'), 'utf8')));
  } catch {
    return undefined;
  }
}
