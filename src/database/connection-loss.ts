/** Tells a lost or unreachable database from a failed statement, which would fail again. */
import { setTimeout as delay } from 'node:timers/promises';
import { sqlState } from './sql-state.ts';

/**
 * Whether the session that a statement ran in is gone: codes of the driver, of its socket, and of a server that ends a
 * session (class 08 and 57P). Other connections cut during the work, such as a client's request, have the same socket
 * codes; the driver marks its own errors with the query.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  const code = String(error.code);
  if (code.startsWith('CONNECTION_') || code === 'CONNECT_TIMEOUT') return true;
  if (/^(ECONN|EPIPE|ETIMEDOUT)/.test(code)) return 'query' in error || unsent.has(error);
  return /^(08...|57P0[1-5])$/.test(sqlState(error) ?? '');
}

/** Whether an attempt to connect failed for a temporary reason: the server is not there (yet), or is full. */
export function isUnreachable(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return (
    isConnectionLoss(error) ||
    /^(E(CONN|PIPE|TIMEDOUT|HOST|NET|NOTFOUND|AI_AGAIN)|ENOENT$)/.test(code) ||
    /^(53...)$/.test(sqlState(error) ?? '')
  );
}

/** Whether the server terminated the connection while it was being set up, as opposed to being unreachable. */
export function wasTerminated(error: unknown): boolean {
  return ['57P01', 'ECONNRESET', 'CONNECTION_CLOSED'].includes(String((error as NodeJS.ErrnoException).code));
}

/** Errors of statements that had no session: nothing was sent. */
const unsent = new WeakSet<object>();

/**
 * Marks an error as that of a statement that was not sent, because no session was available for as long as it may wait.
 */
export function markUnsent(error: unknown): unknown {
  if (error instanceof Error) unsent.add(error);
  return error;
}

/** Several sessions may have ended at once, still unnoticed: the first retry is immediate. */
const tries = 6;
/**
 * A pooler in front of a server that is shutting down refuses instantly, one session after another: from the second
 * retry on, the delay doubles.
 */
const pauseMs = 100;

/**
 * The result of `first`, or of `next` after its session was lost. A statement that waited for a session in vain does
 * not wait again.
 * @param may asked before each further try
 */
export async function onAnotherConnection<Result>(
  first: () => PromiseLike<Result>,
  next: () => PromiseLike<Result>,
  may: () => boolean = () => true,
): Promise<Result> {
  for (let left = tries - 1, send = first; ; left -= 1, send = next) {
    try {
      return await send();
    } catch (error) {
      const worthAnother = isConnectionLoss(error) && !(error instanceof Error && unsent.has(error));
      if (left === 0 || !worthAnother || !may()) throw error;
      if (left < tries - 1) await delay(pauseMs * 2 ** (tries - 2 - left));
    }
  }
}
