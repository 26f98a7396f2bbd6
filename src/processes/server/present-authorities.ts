/**
 * The instance's current authorities: an administration service renews the profile signer while instances run. Reread
 * on use after a minute. Invariant: if they cannot be read, the known ones stay in use.
 */
import { type Clock, hasPassed } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Database } from '../../database/connection.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { type InstanceAuthorities, loadInstanceAuthorities } from '../../domain/authorities.ts';
import type { Logger } from '../../process/log/logger.ts';

const staleAfterMs = 60_000;

export function createPresentAuthorities(parts: {
  db: Database;
  keys: MasterKeys;
  authorities: InstanceAuthorities;
  clock: Clock;
  log: Logger;
}): () => Promise<InstanceAuthorities> {
  const { db, keys, clock, log } = parts;
  let known = Promise.resolve(parts.authorities);
  let readAt = clock.now();
  return () => {
    if (!hasPassed(clock, readAt, staleAfterMs)) return known;
    readAt = clock.now();
    const before = known;
    known = loadInstanceAuthorities(db, keys).catch((error: unknown) => {
      log.warn({ reason: messageOf(error) }, 'the authorities could not be read again; keeping the known ones');
      return before;
    });
    return known;
  };
}
