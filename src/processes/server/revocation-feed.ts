/**
 * Sends routers what the administration signed: the domain's statements about its authorities, and then the revocation list. As
 * soon as a link is up, and again when there is more.
 */
import { createBell } from '../../base/bell.ts';
import { takeTurns } from '../../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database } from '../../database/connection.ts';
import { readStatements } from '../../domain/authority-statements.ts';
import { readSignedRevocationList, type SignedRevocationList } from '../../instances/srp-credential-store.ts';
import { type ControlMessage, statementMessages } from '../../link/trusted-authorities.ts';

interface RevocationFeed {
  /** Pushes statements and list as they are, and every later one, until the signal is aborted. */
  follow(push: (message: ControlMessage) => void, signal: AbortSignal): void;
  /** Reads both until the signal is aborted; a failed read is retried. */
  run(signal: AbortSignal, onError: (error: unknown) => void): Promise<void>;
}

/** After a failure. */
const againMs = 1000;

export function createRevocationFeed(db: Database): RevocationFeed {
  const followers = new Set<(message: ControlMessage) => void>();
  let current: SignedRevocationList | undefined;
  let statements: Awaited<ReturnType<typeof readStatements>> = [];
  return {
    follow(push, signal) {
      if (signal.aborted) return;
      followers.add(push);
      signal.addEventListener('abort', () => followers.delete(push), { once: true });
      for (const message of statementMessages(statements)) push(message);
      if (current) push(current.envelope);
    },
    async run(signal, onError) {
      const bell = createBell();
      const listening = await ringAtChanges(db, ['revocation_list', 'authority_statement'], bell);
      await takeTurns(bell, signal, async () => {
        try {
          const read = await readStatements(db);
          if (read.at(-1)?.payload !== statements.at(-1)?.payload) {
            statements = read;
            for (const message of statementMessages(statements)) {
              for (const push of followers) tell(push, message, onError);
            }
          }
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
function tell(
  push: (message: ControlMessage) => void,
  message: ControlMessage,
  onError: (error: unknown) => void,
): void {
  try {
    push(message);
  } catch (error) {
    onError(error);
  }
}
