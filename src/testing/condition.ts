/**
 * For tests only: bounded waits for named conditions. When one times out, the state of everything registered with
 * `describe` is printed, so that a failure explains itself.
 *
 * Invariant: every wait ends, at the latest five seconds after its time-out, even if its question is never answered.
 */
import { setTimeout as delay } from 'node:timers/promises';

const states = new Set<() => Promise<string>>();
/** For all the printed states together. */
const statesWithinMs = 30_000;
/** A question asked shortly before the end still gets this long for its answer, but no longer than the whole wait. */
const answerMs = 5000;

export const waitedInVain = 'ERR_WAITED_IN_VAIN';

/** A wait timed out; the code distinguishes it from a failed assertion. */
export class WaitedInVain extends Error {
  readonly code = waitedInVain;
}

/** Registers `describe`, which is called whenever a wait times out. @returns a function that unregisters it. */
export function whenWaitedInVain(describe: () => Promise<string>): () => void {
  states.add(describe);
  return () => states.delete(describe);
}

/** Prints all registered states. Never fails, and always ends. */
export async function printStates(timeoutMs = statesWithinMs): Promise<void> {
  const print = async (describe: () => Promise<string>) => {
    const state = await answerWithin(timeoutMs, describe).catch((error: unknown) => `not known: ${String(error)}`);
    process.stderr.write(`${state === late ? `not known within ${timeoutMs} ms` : state}\n`);
  };
  await Promise.all([...states].map(print));
}

/**
 * Asks repeatedly, at first at once and then up to 50 ms apart; an error counts as a no.
 * @throws WaitedInVain that names what did not happen in time, with the last error.
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
 * The same for something with many steps, each with a time-out: the wait fails when nothing has changed for this long,
 * however long the whole takes.
 * @param look returns the current state; null when done. An error ends the wait.
 * @throws WaitedInVain that names what did not happen, and the last state.
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

/** @returns the result of `work`. @throws WaitedInVain that names what did not happen in time. */
export async function inTime<T>(what: string, timeoutMs: number, work: Promise<T>): Promise<T> {
  const result = await answerWithin(timeoutMs, () => work);
  return result === late ? await inVain(`in ${timeoutMs} ms it did not come about that ${what}`) : result;
}

const late = Symbol('late');
const unanswered = 'the question itself was not answered';

/** A later answer is dropped, and so is its error. */
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
