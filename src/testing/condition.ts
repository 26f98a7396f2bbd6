/**
 * For tests only: bounded waits for named conditions. When one is in vain, how everything stands that said so is printed,
 * so that a failure explains itself.
 *
 * Invariant: every wait here ends, five seconds after its time at the latest: where its question is never answered too.
 */
import { setTimeout as delay } from 'node:timers/promises';

const states = new Set<() => Promise<string>>();
/** For everything that says how it stands, together. */
const statesWithinMs = 30_000;
/** What is asked shortly before the end still has so long for its answer, or as long as all of it was to take. */
const answerMs = 5000;

export const waitedInVain = 'ERR_WAITED_IN_VAIN';

/** What was waited for did not come about in time: told by its code from an assertion that failed. */
export class WaitedInVain extends Error {
  readonly code = waitedInVain;
}

/** From now on `describe` is asked where something is waited for in vain. @returns what takes it away again. */
export function whenWaitedInVain(describe: () => Promise<string>): () => void {
  states.add(describe);
  return () => states.delete(describe);
}

/** Prints how everything stands that said so. Never fails, and ends. */
export async function printStates(timeoutMs = statesWithinMs): Promise<void> {
  const print = async (describe: () => Promise<string>) => {
    const state = await answerWithin(timeoutMs, describe).catch((error: unknown) => `not known: ${String(error)}`);
    process.stderr.write(`${state === late ? `not known within ${timeoutMs} ms` : state}\n`);
  };
  await Promise.all([...states].map(print));
}

/**
 * Asks again and again, at first at once and then up to 50 ms apart; an error counts as a no.
 * @throws WaitedInVain that names what did not come about in time, with the last error.
 */
export async function until(what: string, timeoutMs: number, ask: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (let pauseMs = 1; ; pauseMs = Math.min(50, pauseMs * 2)) {
    try {
      const answer = await answerWithin(Math.max(deadline - performance.now(), Math.min(answerMs, timeoutMs)), ask);
      if (answer === true) return;
      if (answer === late) last = new Error(unanswered);
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) break;
    await delay(pauseMs);
  }
  return await inVain(`in ${timeoutMs} ms it did not come about that ${what}`, last);
}

/**
 * The same for what takes many steps, each of them in its own time: there is an end when nothing has changed for so long,
 * however long all of it takes.
 * @param look where it stands; null when it is done. Its errors are the end.
 * @throws WaitedInVain that names what has not come about, and where it stands.
 */
export async function untilDone(what: string, patienceMs: number, look: () => Promise<string | null>): Promise<void> {
  let standing = '';
  for (let changedAt = performance.now(); ; await delay(20)) {
    const leftMs = changedAt + patienceMs - performance.now();
    const now = await answerWithin(Math.max(leftMs, Math.min(answerMs, patienceMs)), look);
    if (now === null) return;
    if (now !== late && now !== standing) {
      changedAt = performance.now();
      standing = now;
    }
    if (now !== late && performance.now() - changedAt < patienceMs) continue;
    const where = [standing, ...(now === late ? [unanswered] : [])].join(': ');
    return await inVain(`nothing has changed for ${patienceMs} ms, and it did not come about that ${what}: ${where}`);
  }
}

/** @returns what `work` comes to. @throws WaitedInVain that names what did not come about in time. */
export async function inTime<T>(what: string, timeoutMs: number, work: Promise<T>): Promise<T> {
  const result = await answerWithin(timeoutMs, () => work);
  return result === late ? await inVain(`in ${timeoutMs} ms it did not come about that ${what}`) : result;
}

const late = Symbol('late');
const unanswered = 'the question itself was not answered';

/** An answer that comes later is nobody's, nor is its error. */
async function answerWithin<T>(timeoutMs: number, ask: () => T | Promise<T>): Promise<T | typeof late> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<typeof late>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, late);
  });
  return await Promise.race([(async () => await ask())(), end]).finally(() => clearTimeout(timer));
}

async function inVain(text: string, last?: unknown): Promise<never> {
  await printStates();
  const why = last === undefined ? '' : `: ${last instanceof Error ? last.message : String(last)}`;
  throw new WaitedInVain(`${text}${why}`, { cause: last });
}
