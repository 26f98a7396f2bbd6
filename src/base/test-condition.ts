/**
 * For tests only: bounded waits for named conditions. When one times out, the registered state dumps are added to the error,
 * so that a failure explains itself.
 */
import { setTimeout as delay } from 'node:timers/promises';

const states = new Set<() => Promise<string>>();

/** From now on `describe` is asked where something is waited for in vain. @returns what takes it away again. */
export function whenWaitedInVain(describe: () => Promise<string>): () => void {
  states.add(describe);
  return () => states.delete(describe);
}

/** Prints how everything stands that said so. Never fails. */
export async function printStates(): Promise<void> {
  for (const describe of states) {
    const state = await describe().catch((error: unknown) => `not known: ${String(error)}`);
    process.stderr.write(`${state}\n`);
  }
}

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
  await printStates();
  const why = last === undefined ? '' : `: ${last instanceof Error ? last.message : String(last)}`;
  throw new Error(`in ${timeoutMs} ms it did not come about that ${what}${why}`, { cause: last });
}

/**
 * The same for what takes many steps, each of them in its own time: there is an end when nothing has changed for so long,
 * however long all of it takes.
 * @param look where it stands; null when it is done. Its errors are the end.
 * @throws Error that names what has not come about, and where it stands.
 */
export async function untilDone(what: string, patienceMs: number, look: () => Promise<string | null>): Promise<void> {
  let standing = '';
  for (let changedAt = performance.now(); ; await delay(20)) {
    const now = await look();
    if (now === null) return;
    if (now !== standing) changedAt = performance.now();
    standing = now;
    if (performance.now() - changedAt >= patienceMs) {
      throw new Error(`nothing has changed for ${patienceMs} ms, and it did not come about that ${what}: ${standing}`);
    }
  }
}
