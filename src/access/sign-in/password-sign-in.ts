/**
 * Whether it is him: name and password, with a try taken before and the same answer, after the same time, for a name that
 * does not exist, one without a password, one that is disabled, and a wrong password.
 */
import type { FastifyReply } from 'fastify';
import { addressGroup } from '../../base/address-group.ts';
import { BrambleError } from '../../base/errors.ts';
import type { SignInDesk } from './desk.ts';
import { isKnownBrowser } from './known-browsers.ts';
import type { Asking } from './own-pages.ts';
import { secretDigest } from './secrets.ts';
import { findSigningIn, type SigningIn } from './signing-in.ts';
import { countFailure, type Trying, takeTry } from './try-limits.ts';

/**
 * @returns who it is, and the try that opening a session gives back
 * @throws BrambleError ERR_SIGN_IN, ERR_SIGN_IN_LIMITED, ERR_BUSY
 */
export async function checkPassword(
  desk: SignInDesk,
  request: Asking,
  reply: FastifyReply,
  { name, password }: { name: string; password: string },
): Promise<{ found: SigningIn & { password: string }; trying: Trying }> {
  const network = addressGroup(request.ip);
  const browser = desk.cookies.read(request, 'browser');
  const digest = browser === undefined ? null : secretDigest(browser);
  const known = digest !== null && (await isKnownBrowser(desk.db, digest, name));
  const trying: Trying = { name, network, browser: known ? digest : null };
  let found: SigningIn | undefined;
  const isHim = await desk.passwords.matches(
    password,
    async () => {
      const refused = await desk.note((tx) => takeTry(tx, trying));
      if (refused !== null) throw tooMany(reply, refused.waitSeconds);
      found = await findSigningIn(desk.db, name);
      return found?.active === true ? found.password : null;
    },
    network,
  );
  if (isHim && found?.password != null) return { found: { ...found, password: found.password }, trying };
  await noteFailure(desk, trying, found);
  throw new BrambleError('ERR_SIGN_IN', 'The name or the password is wrong.');
}

function tooMany(reply: FastifyReply, waitSeconds: number): BrambleError {
  reply.header('retry-after', String(waitSeconds));
  return new BrambleError(
    'ERR_SIGN_IN_LIMITED',
    `There were too many failed attempts from here. Try again in ${waitSeconds} seconds.`,
    { details: { retryAfterSeconds: waitSeconds } },
  );
}

/** The audit has the first, second, fourth, eighth … failure: strangers do not fill it. */
async function noteFailure(desk: SignInDesk, trying: Trying, found: SigningIn | undefined): Promise<void> {
  const failures = await desk.note((tx) => countFailure(tx, trying));
  if (found === undefined || !Number.isInteger(Math.log2(failures))) return;
  await desk.write(async (tx) => void (await tx`select pg_current_xact_id()`), {
    ...{ actor: desk.component, operation: 'sign-in refused', subjects: [found.name], from: { failures } },
  });
}
