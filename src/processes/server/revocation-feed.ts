/**
 * Sends routers the revocation list as the administration signed it: as soon as a link is up, and again when its number
 * has risen.
 */
import { createBell } from '../../base/bell.ts';
import { takeTurns } from '../../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database } from '../../database/connection.ts';
import { readSignedRevocationList, type SignedRevocationList } from '../../instances/srp-credential-store.ts';
import type { SignedEnvelope } from '../../link/messages.ts';

interface RevocationFeed {
  /** Pushes the current list and every later one until the signal is aborted. */
  follow(push: (list: SignedEnvelope) => void, signal: AbortSignal): void;
  /** Reads the list until the signal is aborted; a failed read is retried. */
  run(signal: AbortSignal, onError: (error: unknown) => void): Promise<void>;
}

/** After a failure. */
const againMs = 1000;

export function createRevocationFeed(db: Database): RevocationFeed {
  const followers = new Set<(list: SignedEnvelope) => void>();
  let current: SignedRevocationList | undefined;
  return {
    follow(push, signal) {
      if (signal.aborted) return;
      followers.add(push);
      signal.addEventListener('abort', () => followers.delete(push), { once: true });
      if (current) push(current.envelope);
    },
    async run(signal, onError) {
      const bell = createBell();
      const listening = await ringAtChanges(db, ['revocation_list'], bell);
      await takeTurns(bell, signal, async () => {
        try {
          const list = await readSignedRevocationList(db);
          if (list !== undefined && list.number > (current?.number ?? -1)) {
            current = list;
            for (const push of followers) tell(push, list.envelope, onError);
          }
          return lateLookMs;
        } catch (error) {
          onError(error);
          return againMs;
        }
      });
      await listening.unlisten();
    },
  };
}

/** A link that fails meanwhile does not keep the list from the others. */
function tell(push: (list: SignedEnvelope) => void, envelope: SignedEnvelope, onError: (error: unknown) => void): void {
  try {
    push(envelope);
  } catch (error) {
    onError(error);
  }
}
