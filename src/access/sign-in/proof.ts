/** Proof that it is still the administrator himself who sits there, before others are given access. */
import { BrambleError } from '../../base/errors.ts';
import type { Actor } from '../actor.ts';

const proofMinutes = 15;

/** Tokens prove themselves with each request. @throws BrambleError ERR_PROOF_NEEDED */
export function assertProven({ kind, provenAt }: Actor, now = Date.now()): void {
  if (kind !== 'administrator') return;
  if (provenAt !== null && now - provenAt.getTime() < proofMinutes * 60_000) return;
  throw new BrambleError(
    'ERR_PROOF_NEEDED',
    `This asks for a proof of at most ${proofMinutes} minutes ago of who is there: enter the password again, use a passkey, or sign in again at the OpenID provider.`,
  );
}
