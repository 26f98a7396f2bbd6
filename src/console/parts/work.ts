/** What a button does that is no form's: once at a time, and its failure is kept until the next attempt. */
import { useRef, useState } from 'react';

interface Work {
  readonly busy: boolean;
  readonly error: Error | null;
  /** Begins it. */
  readonly work: () => void;
}

export function useWork(run: () => Promise<void>): Work {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const isWorking = useRef(false);
  const work = async (): Promise<void> => {
    if (isWorking.current) return;
    isWorking.current = true;
    setBusy(true);
    setError(null);
    try {
      await run();
    } catch (failure) {
      setError(failure as Error);
    } finally {
      isWorking.current = false;
      setBusy(false);
    }
  };
  return { busy, error, work: () => void work() };
}
