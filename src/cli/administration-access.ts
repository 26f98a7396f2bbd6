/**
 * Where the command line finds an administration service, and the token to use. Invariant: a token is sent encrypted, or to this
 * host; that of a home only to this host, or where the home says that its domain is.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type * as z from 'zod';
import { accessFileShape } from '../api/access-file.ts';
import { BrambleError } from '../base/errors.ts';
import { readInputFile } from '../base/input-file.ts';
import { announcedAddresses } from '../component/service-address.ts';
import { assertCertificates } from './own-authority.ts';
import { assertSecret, type Environment, isOwnHost, type Profile, profileNamed, readProfiles } from './profiles.ts';

export interface AdministrationAccess {
  /** Tried in this order. */
  urls: readonly string[];
  token: string;
  /** In PEM: the only authority that is trusted; undefined for those that everybody trusts. */
  ca?: string;
}

export interface AccessFlags {
  url?: string | undefined;
  token?: string | undefined;
  /** File. */
  urlCa?: string | undefined;
  profile?: string | undefined;
}

/** BRAMBLE_HOME: `/var/lib/bramble` for root, otherwise `.bramble` if there is one. */
export function homeFolder(environment: Environment): string {
  return environment['BRAMBLE_HOME'] ?? (process.getuid?.() === 0 ? '/var/lib/bramble' : resolve('.bramble'));
}

/**
 * From `--url` and `--token`, or `--profile`; then BRAMBLE_URL and BRAMBLE_TOKEN, or BRAMBLE_PROFILE; then `admin.json` in
 * BRAMBLE_HOME with what the services of this host announced, or, where that is not set, the profile in use.
 * @throws BrambleError ERR_ADMIN_ACCESS when no token is known, ERR_ADMIN_UNREACHABLE when no address is, ERR_ADMIN_ADDRESS for
 *   an invalid address, ERR_ADMIN_PROFILE, ERR_USAGE
 */
export async function resolveAccess(flags: AccessFlags, environment: Environment): Promise<AdministrationAccess> {
  const access = await accessOf(flags, environment);
  for (const url of access.urls) assertSecret(url);
  return access;
}

async function accessOf(flags: AccessFlags, environment: Environment): Promise<AdministrationAccess> {
  const profile = await chosenProfile(flags, environment);
  if (profile !== undefined) {
    const { url, token, ca } = profile;
    return { urls: [url], token, ...(ca === undefined ? {} : { ca }) };
  }
  const home = homeFolder(environment);
  const given = flags.url ?? environment['BRAMBLE_URL'];
  const token = flags.token ?? environment['BRAMBLE_TOKEN'];
  rejectEmpty('ERR_ADMIN_ADDRESS', flags.url === undefined ? 'BRAMBLE_URL' : '--url', given, home);
  rejectEmpty('ERR_ADMIN_ACCESS', flags.token === undefined ? 'BRAMBLE_TOKEN' : '--token', token, home);
  const file = given !== undefined && token !== undefined ? undefined : await readAccessFile(home);
  const access = typeof file === 'object' ? file : undefined;
  const own = file === undefined ? [] : await ownAddresses(home, access);
  const urls = given === undefined ? own : given.split(',').map(addressOf);
  const chosen = token ?? access?.token;
  if (chosen === undefined) {
    throw new BrambleError('ERR_ADMIN_ACCESS', `No administrator token was given, and ${file}. ${tokenRemedy(home)}`);
  }
  const stranger = token === undefined ? urls.find((url) => !own.includes(url) && !isOwnHost(url)) : undefined;
  if (stranger !== undefined) {
    throw new BrambleError(
      'ERR_ADMIN_ACCESS',
      `The token in ${join(home, 'admin.json')} is not sent to ${stranger}, of which nothing there says that it is of the same ` +
        'domain: give a token with --token (BRAMBLE_TOKEN), or --profile.',
    );
  }
  if (urls.length === 0) {
    throw new BrambleError(
      'ERR_ADMIN_UNREACHABLE',
      `The domain is not running: no administration service of ${home} contains its address. Start it with ` +
        '`bramble up` or `npm start`, or give the address of a service elsewhere with --url (BRAMBLE_URL).',
    );
  }
  const ca = await authorityOf(flags.urlCa ?? environment['BRAMBLE_URL_CA']);
  return { urls, token: chosen, ...ca };
}

/** Those of `admin.json`, and what the services of this host announced. */
async function ownAddresses(home: string, access: z.output<typeof accessFileShape> | undefined): Promise<string[]> {
  const known = [access?.url, ...(access?.urls ?? []), ...(await announcedAddresses(home))];
  return [...new Set(known.filter((url) => url !== undefined).map((url) => url.replace(/\/+$/, '')))];
}

/** What is said on the command line counts more than the environment, and a place that is named more than what is used otherwise. */
async function chosenProfile(flags: AccessFlags, environment: Environment): Promise<Profile | undefined> {
  const isPlaced = flags.url !== undefined || flags.token !== undefined;
  if (flags.profile !== undefined) {
    if (isPlaced) throw new BrambleError('ERR_USAGE', 'Give either --profile, or --url and --token.');
    return profileNamed(await readProfiles(environment), flags.profile);
  }
  if (isPlaced || environment['BRAMBLE_URL'] !== undefined || environment['BRAMBLE_TOKEN'] !== undefined)
    return undefined;
  const named = environment['BRAMBLE_PROFILE'];
  if (named === undefined && environment['BRAMBLE_HOME'] !== undefined) return undefined;
  const profiles = await readProfiles(environment);
  const name = named ?? profiles.used;
  return name === null ? undefined : profileNamed(profiles, name);
}

async function authorityOf(file: string | undefined): Promise<{ ca?: string }> {
  if (file === undefined) return {};
  const ca = await readInputFile(file);
  assertCertificates(ca, file);
  return { ca };
}

/** The first administrator's token is in the home that the domain was created in; that of a further host has none. */
function tokenRemedy(home: string): string {
  const given = 'with --token (BRAMBLE_TOKEN), and the address of an administration service with --url (BRAMBLE_URL)';
  if (existsSync(join(home, 'keys', 'host.json'))) {
    return (
      'This host joined the domain: run the command on the host that the domain was created on, or make a token there ' +
      `(\`bramble token create NAME\`) and give it ${given}.`
    );
  }
  if (existsSync(join(home, 'config.json'))) return `Put the file back, or give a token ${given}.`;
  return (
    'There is no domain in this home: set BRAMBLE_HOME to the home of one, make one here with `bramble domain create`, ' +
    `\`bramble join\` or \`bramble backup restore\`, or give a token ${given}.`
  );
}

/**
 * The address of a service as typed: `host:port` means HTTP, as on loopback.
 * @throws BrambleError ERR_ADMIN_ADDRESS
 */
export function addressOf(typed: string): string {
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

/** The file, or why it cannot be used. */
async function readAccessFile(home: string): Promise<z.output<typeof accessFileShape> | string> {
  const path = join(home, 'admin.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? `there is no file ${path}` : `${path} cannot be read (${code})`;
  }
  try {
    return accessFileShape.parse(JSON.parse(text));
  } catch {
    return `${path} contains none`;
  }
}

function rejectEmpty(
  code: 'ERR_ADMIN_ADDRESS' | 'ERR_ADMIN_ACCESS',
  name: string,
  value: string | undefined,
  home: string,
): void {
  if (value === undefined || value.trim() !== '') return;
  const remedy = code === 'ERR_ADMIN_ADDRESS' ? 'give host:port of an administration service' : 'give a token';
  throw new BrambleError(code, `${name} is empty: ${remedy}, or omit it to use ${join(home, 'admin.json')}.`);
}
