/** Ceremonies of passkeys: begun for a browser, which comes back with what an authenticator made of it. */
import { isIP } from 'node:net';
import type { FastifyReply } from 'fastify';
import type { Assertion } from '../../api/passkeys.ts';
import { BrambleError } from '../../base/errors.ts';
import type { SignInDesk } from './desk.ts';
import type { Asking } from './own-pages.ts';
import { findPasskey } from './passkeys.ts';
import { secretDigest } from './secrets.ts';
import { beginStep, takeStep } from './steps.ts';
import { type Ceremony, checkAssertion } from './webauthn.ts';

export const ceremonyTimeoutMs = 300_000;

type Kind = 'passkey' | 'new-passkey';

/** What the browser is to have signed: no secret, and known to nobody before. */
const challengeOf = (secret: string) => secretDigest(`challenge ${secret}`).toString('base64url');

/** @throws BrambleError ERR_STATE under an address: passkeys belong to names */
export async function beginCeremony(
  desk: SignInDesk,
  request: Asking,
  reply: FastifyReply,
  kind: Kind,
  administratorId: string | null,
): Promise<Ceremony> {
  const place = placeOf(request);
  const secret = await desk.note((tx) => beginStep(tx, kind, administratorId));
  desk.cookies.set(reply, 'step', secret);
  return { ...place, challenge: challengeOf(secret) };
}

/** The one that this browser began, used up. @throws BrambleError ERR_PASSKEY */
export async function takeCeremony(
  desk: SignInDesk,
  request: Asking,
  kind: Kind,
): Promise<Ceremony & { stepId: string; administratorId: string | null }> {
  const secret = desk.cookies.read(request, 'step');
  const step = secret === undefined ? undefined : await desk.note((tx) => takeStep(tx, kind, secret));
  if (secret === undefined || step === undefined) {
    throw new BrambleError('ERR_PASSKEY', 'This took too long, or was not begun in this browser. Begin again.');
  }
  const { id: stepId, administratorId } = step;
  return { ...placeOf(request), challenge: challengeOf(secret), stepId, administratorId };
}

/** Whose passkey it is. @throws BrambleError ERR_PASSKEY */
export async function checkPasskey(desk: SignInDesk, request: Asking, assertion: Assertion) {
  const ceremony = await takeCeremony(desk, request, 'passkey');
  const found = await findPasskey(desk.db, Buffer.from(assertion.id, 'base64url'), ceremony.rpId);
  const owner = assertion.response.userHandle;
  if (found === undefined || (owner != null && owner !== userHandleOf(found.administratorId))) {
    throw new BrambleError('ERR_PASSKEY', 'The passkey is not known here, or was removed.');
  }
  return { found, stepId: ceremony.stepId, signCount: checkAssertion(assertion, found, ceremony) };
}

export function userHandleOf(administratorId: string): string {
  return Buffer.from(administratorId.replaceAll('-', ''), 'hex').toString('base64url');
}

/** The page that asks, which is one of ours already. */
function placeOf(request: Asking): { origin: string; rpId: string } {
  const origin = request.headers.origin ?? '';
  const rpId = new URL(origin).hostname;
  if (isIP(rpId.replace(/^\[|\]$/g, '')) === 0) return { origin, rpId };
  throw new BrambleError(
    'ERR_STATE',
    'Passkeys belong to a name: open the console under localhost or its name, not an address.',
  );
}
