/**
 * Whether it is him: name and password, with a try taken before and the same answer, after the same time, for a name that
 * does not exist, one without a password, one that is disabled, and a wrong password.
 */
import type { FastifyReply } from 'fastify';
import { BrambleError } from '../../base/errors.ts';
import type { SignInDesk } from './desk.ts';
import type { Asking } from './own-pages.ts';
import { senderOf } from './password.ts';
import { findSigningIn, type SigningIn } from './signing-in.ts';
import { noteFailure, takeTryOf, tryingOf } from './tries.ts';
import type { Trying } from './try-limits.ts';

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
  const trying = await tryingOf(desk, request, name);
  let found: SigningIn | undefined;
  const isHim = await desk.passwords.matches(
    password,
    async () => {
      await takeTryOf(desk, reply, trying);
      found = await findSigningIn(desk.db, name);
      return found?.active === true ? found.password : null;
    },
    senderOf(trying),
  );
  if (isHim && found?.password != null) return { found: { ...found, password: found.password }, trying };
  await noteFailure(desk, trying, found?.name ?? null);
  throw new BrambleError('ERR_SIGN_IN', 'The name or the password is wrong.');
}
