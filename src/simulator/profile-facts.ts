/** What of a configuration profile the journal remembers. */
import { createHash } from 'node:crypto';
import { parseProfile } from '../protocol/apple/profile.ts';
import type { ProfileFacts } from './journal.ts';

/** @param bytes as they came in InstallProfile, signed or not @throws BrambleError ERR_PROFILE_MALFORMED */
export function profileFacts(bytes: Uint8Array): ProfileFacts {
  const { identifier, uuid, payloads, topLevel } = parseProfile(bytes);
  const release = topLevel?.['BrambleRelease'];
  const prefix = `${identifier}.`;
  return {
    identifier,
    uuid,
    revision: createHash('sha256').update(bytes).digest('hex').slice(0, 16),
    ...(typeof release === 'string' ? { release } : {}),
    payloads: payloads.map((payload) => ({
      type: payload.type,
      name: payload.identifier.startsWith(prefix) ? payload.identifier.slice(prefix.length) : payload.identifier,
    })),
  };
}
