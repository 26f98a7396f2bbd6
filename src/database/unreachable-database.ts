/** A database that was named by its address and cannot be reached: which it is, and what to do. */
import { addressWithoutCredential } from '../base/database-address.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { isUnreachable } from './connection-loss.ts';

/** ERR_DATABASE_UNAVAILABLE with the address and this advice, or the error itself if it is of another kind. */
export function unreachableOr(cause: unknown, url: string, advice: string): unknown {
  if (!isUnreachable(cause)) return cause;
  return new BrambleError(
    'ERR_DATABASE_UNAVAILABLE',
    `The configuration database cannot be reached at ${addressWithoutCredential(url)}: ${messageOf(cause)}. ${advice}`,
    { cause },
  );
}
