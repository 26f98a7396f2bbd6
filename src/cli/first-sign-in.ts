/**
 * What who starts a domain reads on its terminal: where to sign in, with a one-time code as long as there is no administrator.
 * Invariant: a code is written to that terminal only, never to a log.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { administratorOperations } from '../api/administrators.ts';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import { resolveAccess } from './administration-access.ts';
import { createCommandClient } from './command-client.ts';
import { consoleAddress, signInLink } from './sign-in-link.ts';

interface FirstSignInOptions {
  readonly home: string;
  readonly write: (text: string) => void;
  /** Ends it, as when the domain is stopped. */
  readonly signal: AbortSignal;
}

const retryMs = 500;

/**
 * Waits until an administration service answers, and asks it. Where there is an administrator it says where the console is; nothing
 * where this home has no token, as that of a further host, or while the domain is of a release without administrators.
 */
export async function tellFirstSignIn(options: FirstSignInOptions): Promise<void> {
  // A service that stops in the middle of a question may never answer it: whoever starts a domain does not wait for that.
  const ended = once(options.signal, 'abort').then(() => undefined);
  if (!options.signal.aborted) await Promise.race([ask(options), ended]);
}

async function ask({ home, write, signal }: FirstSignInOptions): Promise<void> {
  const environment = { BRAMBLE_HOME: home };
  while (!signal.aborted) {
    try {
      const access = await resolveAccess({}, environment);
      const made = await createCommandClient(access, { signal }).call(administratorOperations.inviteFirst, {});
      const url = await signInLink(home, made.code, access.urls[0] ?? '');
      write(`\nSign in as the first administrator, once and within 15 minutes:\n  ${url}\n\n`);
      return;
    } catch (error) {
      if (isBrambleError(error, 'ERR_CONFLICT')) {
        const url = await consoleAddress(home);
        if (url !== undefined) write(`\nThe console:\n  ${url}\n\n`);
      }
      if (!isUnreachable(error)) return;
    }
    await delay(retryMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Not there yet, or on its way out. */
function isUnreachable(error: unknown): boolean {
  return (
    error instanceof BrambleError &&
    ['ERR_ADMIN_UNREACHABLE', 'ERR_ADMIN_ANSWER', 'ERR_DATABASE_UNAVAILABLE', 'ERR_RELEASE_FENCED'].includes(error.code)
  );
}

/** Runs `work`, and tells meanwhile. */
export async function whileTelling(
  options: Omit<FirstSignInOptions, 'signal'>,
  work: () => Promise<void>,
): Promise<void> {
  const ended = new AbortController();
  const telling = tellFirstSignIn({ ...options, signal: ended.signal });
  try {
    await work();
  } finally {
    ended.abort();
    await telling;
  }
}
