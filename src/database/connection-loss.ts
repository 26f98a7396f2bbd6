import { sqlState } from './sql-state.ts';

/**
 * Whether the session that a statement ran in is gone: codes of the driver, of its socket, and of a server that ends a session
 * (class 08 and 57P). What else was cut in the middle of the work, such as a client's request, has the same codes of a
 * socket; the driver marks its own with the query.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  const code = String(error.code);
  if (code.startsWith('CONNECTION_')) return true;
  if (/^(ECONN|EPIPE|ETIMEDOUT)/.test(code)) return 'query' in error;
  return /^(08...|57P0[1-5])$/.test(sqlState(error) ?? '');
}

/** The same, where the server is there and a fresh connection may do better at once. */
function isWorthAnother(error: unknown): boolean {
  return (
    isConnectionLoss(error) && !['ECONNREFUSED', 'ETIMEDOUT'].includes(String((error as NodeJS.ErrnoException).code))
  );
}

/**
 * What `first` sent, or `next` after its connection was lost: twice at most, since the driver answers the first statement of the
 * next connection, which it does not send, with what ended the session before.
 * @param may asked before each further try
 */
export async function onAnotherConnection<Result>(
  first: () => PromiseLike<Result>,
  next: () => PromiseLike<Result>,
  may: () => boolean = () => true,
): Promise<Result> {
  for (let left = 2, send = first; ; left -= 1, send = next) {
    try {
      return await send();
    } catch (error) {
      if (left === 0 || !isWorthAnother(error) || !may()) throw error;
    }
  }
}
