/** Tries of a request, taken before anything is compared, and what becomes of failures. */
import type { FastifyReply } from 'fastify';
import { addressGroup } from '../../base/address-group.ts';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import type { SignInDesk } from './desk.ts';
import { isKnownBrowser } from './known-browsers.ts';
import type { Asking } from './own-pages.ts';
import { secretDigest } from './secrets.ts';
import { countFailure, type Trying, takeTry } from './try-limits.ts';

/** Under a name as it was typed. */
export async function tryingOf(desk: SignInDesk, request: Asking, name: string): Promise<Trying> {
  const browser = desk.cookies.read(request, 'browser');
  const digest = browser === undefined ? null : secretDigest(browser);
  const known = digest !== null && (await isKnownBrowser(desk.db, digest, name));
  if (known && browser !== undefined) desk.known.note(browser);
  return { name, network: addressGroup(request.ip), browser: known ? digest : null };
}

/**
 * With codes of a second factor, wherever from: who gets so far has the password, and codes are short.
 * @param first of the request, under the administrator's name
 */
export function tryingCodes(first: Trying, administratorId: string): Trying {
  return { name: `code ${administratorId}`, network: 'any', browser: first.browser };
}

/** @throws BrambleError ERR_SIGN_IN_LIMITED */
export async function takeTryOf(desk: SignInDesk, reply: FastifyReply, trying: Trying): Promise<void> {
  const refused = await desk.note((tx) => takeTry(tx, trying));
  if (refused === null) return;
  const { waitSeconds } = refused;
  reply.header('retry-after', String(waitSeconds));
  throw new BrambleError(
    'ERR_SIGN_IN_LIMITED',
    `There were too many failed attempts. Try again in ${waitSeconds} seconds.`,
    { details: { retryAfterSeconds: waitSeconds } },
  );
}

/**
 * The audit has the first, second, fourth, eighth … failure: strangers do not fill it.
 * @param name of the administrator that was tried; null if there is none
 */
export async function noteFailure(desk: SignInDesk, trying: Trying, name: string | null): Promise<void> {
  const failures = await desk.note((tx) => countFailure(tx, trying));
  if (name === null || !Number.isInteger(Math.log2(failures))) return;
  await desk.write(async (tx) => void (await tx`select pg_current_xact_id()`), {
    ...{ actor: desk.component, operation: 'sign-in refused', subjects: [name], from: { failures } },
  });
}

/** Notes the failure if `work` refuses. */
export async function notingFailure<Result>(
  desk: SignInDesk,
  trying: Trying,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (isBrambleError(error) && error.code === 'ERR_SIGN_IN') await noteFailure(desk, trying, trying.name);
    throw error;
  }
}
