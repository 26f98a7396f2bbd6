/**
 * What a form or a button does: once at a time, and its failure is kept until the next attempt.
 *
 * Invariant: attempts of one work send the same request with the same idempotency key, until the work is done. What was carried
 * out without an answer is so answered at the next attempt, not done again.
 */
import { useRef, useState } from 'react';
import { type Ask, ask } from '../live/contact.ts';

/** Whatever it changes, it asks with what it is given. */
export type Attempt = (askOnce: Ask) => Promise<void>;

interface Work {
  readonly busy: boolean;
  readonly error: Error | null;
  /** Begins it. */
  readonly work: () => void;
}

export function useWork(run: Attempt): Work {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const isWorking = useRef(false);
  const keys = useRef(new Map<string, string>());
  const askOnce: Ask = async (operation, request) => {
    const asked = JSON.stringify([operation.method, operation.path, request]);
    const key = keys.current.get(asked) ?? crypto.randomUUID();
    keys.current.set(asked, key);
    return await ask(operation, request, key);
  };
  const work = async (): Promise<void> => {
    if (isWorking.current) return;
    isWorking.current = true;
    setBusy(true);
    setError(null);
    try {
      await run(askOnce);
      keys.current.clear();
    } catch (failure) {
      setError(failure as Error);
    } finally {
      isWorking.current = false;
      setBusy(false);
    }
  };
  return { busy, error, work: () => void work() };
}
