/**
 * Commands that work on files for a while: when they are told to end, they say so and remove what they have begun. A second SIGINT or
 * SIGTERM does not wait for that; that the terminal goes meanwhile is no such word.
 */
import { BrambleError } from '../base/errors.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @param onSignal called at once @throws BrambleError ERR_INTERRUPTED when a signal ended it */
export async function untilSignalled<Result>(
  work: (signal: AbortSignal) => Promise<Result>,
  onSignal: (name: string) => void,
): Promise<Result> {
  const ended = new AbortController();
  const end = (name: NodeJS.Signals) => {
    if (ended.signal.aborted) return;
    ended.abort(new BrambleError('ERR_INTERRUPTED', `${name} was received. What was begun is removed.`));
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, end);
    onSignal(name);
  };
  for (const signal of signals) process.on(signal, end);
  try {
    return await work(ended.signal);
  } catch (error) {
    // What the work says of its own end is of no use to anybody.
    throw ended.signal.aborted ? ended.signal.reason : error;
  } finally {
    for (const signal of signals) process.off(signal, end);
  }
}
