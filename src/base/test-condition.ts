/** For tests only: waiting for what must come about, with a name and an end. */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks again and again, at first at once and then up to 50 ms apart; an error counts as a no.
 * @throws Error that names what did not come about in time, with the last error.
 */
export async function until(what: string, timeoutMs: number, ask: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (let pauseMs = 1; ; pauseMs = Math.min(50, pauseMs * 2)) {
    try {
      if (await ask()) return;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) break;
    await delay(pauseMs);
  }
  const why = last === undefined ? '' : `: ${last instanceof Error ? last.message : String(last)}`;
  throw new Error(`in ${timeoutMs} ms it did not come about that ${what}${why}`, { cause: last });
}
