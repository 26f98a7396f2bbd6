/**
 * The invitation that lets a host join: one line of text, which an administrator carries from `bramble host invite` to
 * `bramble join`. It names the domain, the configuration database with a role that sees only invitations, the fingerprint of the
 * domain authority, and a secret. Whoever holds it may join once, until it expires.
 */
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';

const prefix = 'bramble-invitation-1.';
const maxTextLength = 8192;

export const invitationShape = z.object({
  id: z.uuid(),
  host: z.string().min(1).max(253),
  domain: z.object({ id: z.string(), name: z.string() }),
  /** PostgreSQL's URL with the role for joining and its password. */
  databaseUrl: z.string().startsWith('postgres'),
  /** SHA-256 of the domain authority's certificate, hex. */
  authority: z.string().regex(/^[0-9a-f]{64}$/),
  /** 32 octets in base64url. */
  secret: z.string().regex(/^[\w-]{43}$/),
  expiresAt: z.iso.datetime(),
});
export type Invitation = z.output<typeof invitationShape>;

export function invitationText(invitation: Invitation): string {
  return prefix + Buffer.from(JSON.stringify(invitation)).toString('base64url');
}

/** @throws BrambleError ERR_HOST_INVITATION for anything but a whole invitation */
export function readInvitation(typed: string): Invitation {
  const text = typed.trim();
  if (!text.startsWith(prefix) || text.length > maxTextLength) {
    throw unusable('it does not begin like one. Give the whole line that `bramble host invite` printed');
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text.slice(prefix.length), 'base64url').toString());
  } catch (cause) {
    throw unusable('it is damaged or cut short. Copy the whole line again', cause);
  }
  const parsed = invitationShape.safeParse(value);
  if (!parsed.success) {
    throw unusable('it has other contents than this release knows. Use the release that the domain has', parsed.error);
  }
  return parsed.data;
}

function unusable(why: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_HOST_INVITATION', `The invitation cannot be used: ${why}.`, { cause });
}
