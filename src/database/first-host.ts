/**
 * Which of several hosts is used: the first in their order that can be. The next one is tried as soon as one has failed,
 * or has not answered for a moment: a host that is cut off must not delay every session by its time-out.
 *
 * Invariant: at most one result is kept, and what comes later is closed.
 */
import type { DatabaseHost } from '../base/database-address.ts';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { isUnreachable } from './connection-loss.ts';

interface Closable {
  close(): void;
}

/** A server nearby answers in a few milliseconds. */
const headStartMs = 250;

/**
 * @param hosts may be empty: then `open` is called once without one
 * @throws with one host, its error; with several, one that says of each what is wrong, temporary if that of any is
 */
export async function firstHost<Opened extends Closable>(
  hosts: readonly DatabaseHost[],
  signal: AbortSignal | undefined,
  open: (host: DatabaseHost | undefined, signal: AbortSignal | undefined) => Promise<Opened>,
): Promise<Opened> {
  if (hosts.length <= 1) return await open(hosts[0], signal);
  const winner = Promise.withResolvers<Opened>();
  const attempts = hosts.map((host) => ({ host, ending: new AbortController(), error: undefined as unknown }));
  const begun = new Set<number>();
  let failed = 0;
  let won = false;

  const begin = (index: number): void => {
    const attempt = attempts[index];
    if (attempt === undefined || attempt.ending.signal.aborted || begun.has(index)) return;
    begun.add(index);
    const impatient = setTimeout(() => begin(index + 1), headStartMs);
    const either = signal === undefined ? attempt.ending.signal : AbortSignal.any([signal, attempt.ending.signal]);
    open(attempt.host, either).then(
      (opened) => {
        clearTimeout(impatient);
        if (won) {
          opened.close();
          return;
        }
        won = true;
        for (const other of attempts) if (other !== attempt) other.ending.abort();
        winner.resolve(opened);
      },
      (error: unknown) => {
        clearTimeout(impatient);
        attempt.error = error;
        failed += 1;
        if (failed === attempts.length) winner.reject(errorOf(attempts));
        else begin(index + 1);
      },
    );
  };
  begin(0);
  return await winner.promise;
}

/** One that is permanent, such as a wrong password, may be that of a server which is not meant. */
function errorOf(attempts: readonly { host: DatabaseHost; error: unknown }[]): unknown {
  const said = attempts.map(({ host, error }) => `${host.name}:${host.port}: ${messageOf(error)}`).join('; ');
  const message = `None of the database’s hosts can be used. ${said}`;
  const temporary = attempts.find(({ error }) => isUnreachable(error));
  if (temporary) return Object.assign(new Error(message, { cause: temporary.error }), { code: 'CONNECTION_NO_HOST' });
  const [first] = attempts;
  return isBrambleError(first?.error)
    ? new BrambleError(first.error.code, message, { cause: first.error })
    : first?.error;
}
