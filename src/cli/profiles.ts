/**
 * Domains that `bramble` knows by name: address, token and authority of each, in `~/.config/bramble/profiles.json`.
 *
 * Invariant: the file is its owner's alone. One that others can read is refused, because a token in it may be known already.
 */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import { BrambleError, messageOf } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';
import { readPresent } from '../base/present-file.ts';
import { writeWholeFile } from '../database/whole-file.ts';

const profileShape = z.object({
  url: z.string(),
  token: z.string().min(1),
  /** PEM: the only authority that certificates of this domain's services may come from. */
  ca: z.string().optional(),
});
export type Profile = z.output<typeof profileShape>;

export const profilesShape = z.object({
  /** Meant where nothing else is said. */
  used: z.string().nullable().default(null),
  profiles: z.record(z.string(), profileShape).default({}),
});
type Profiles = z.output<typeof profilesShape>;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Undefined for a user without a home. */
function profilesPath(environment: Environment): string | undefined {
  const home = environment['HOME'];
  const folder = environment['XDG_CONFIG_HOME'] ?? (home && join(home, '.config'));
  return folder ? join(folder, 'bramble', 'profiles.json') : undefined;
}

/** @throws BrambleError ERR_ADMIN_PROFILE when the file cannot be used */
export async function readProfiles(environment: Environment): Promise<Profiles> {
  const path = profilesPath(environment);
  const text = path === undefined ? null : await readPresent(path);
  if (path === undefined || text === null) return { used: null, profiles: {} };
  if (((await stat(path)).mode & 0o077) !== 0) {
    throw new BrambleError(
      'ERR_ADMIN_PROFILE',
      `${path} holds tokens, and others can read or write it: \`chmod 600 ${path}\`, and have the tokens replaced if somebody may have read them.`,
    );
  }
  try {
    return profilesShape.parse(JSON.parse(text));
  } catch (cause) {
    throw new BrambleError(
      'ERR_ADMIN_PROFILE',
      `${path} cannot be read: correct it, or remove it and add the profiles again.`,
      {
        cause,
      },
    );
  }
}

/** @throws BrambleError ERR_ADMIN_PROFILE when it cannot be written */
export async function writeProfiles(environment: Environment, profiles: Profiles): Promise<void> {
  const path = profilesPath(environment);
  if (path === undefined) {
    throw new BrambleError(
      'ERR_ADMIN_PROFILE',
      'Profiles are kept in the home of a user: set HOME or XDG_CONFIG_HOME.',
    );
  }
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeWholeFile(path, `${JSON.stringify(profiles, null, 2)}\n`, 'w');
  } catch (cause) {
    throw new BrambleError('ERR_ADMIN_PROFILE', `${path} cannot be written: ${messageOf(cause)}.`, { cause });
  }
}

/** @throws BrambleError ERR_ADMIN_PROFILE when there is none of this name */
export function profileNamed({ profiles }: Profiles, name: string): Profile {
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (profile !== undefined) return profile;
  throw new BrambleError('ERR_ADMIN_PROFILE', `There is no profile "${name}": \`bramble profile list\` names all.`);
}

export function isOwnHost(url: string): boolean {
  const bare = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
  return bare === 'localhost' || isLoopback(bare);
}

/** A token is never sent in the clear. @throws BrambleError ERR_ADMIN_ADDRESS */
export function assertSecret(url: string): void {
  if (new URL(url).protocol === 'https:' || isOwnHost(url)) return;
  throw new BrambleError(
    'ERR_ADMIN_ADDRESS',
    `${url} would send the token in the clear: give an address with https://, or one of this host.`,
  );
}
