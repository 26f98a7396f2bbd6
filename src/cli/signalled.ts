/**
 * Commands that work on files for a while: when they are told to end, they remove what they have begun. A second signal does not wait for
 * that.
 */
import { BrambleError } from '../base/errors.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @throws BrambleError ERR_INTERRUPTED when a signal ended it */
export async function untilSignalled<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const ended = new AbortController();
  const end = (name: NodeJS.Signals) => {
    ended.abort(new BrambleError('ERR_INTERRUPTED', `${name} was received. What was begun is removed.`));
    for (const signal of signals) process.off(signal, end);
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
