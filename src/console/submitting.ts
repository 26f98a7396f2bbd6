/** What a form does while it is sent: once at a time, and its failure is kept until the next attempt. */
import { type FormEvent, useRef, useState } from 'react';

interface Submitting {
  readonly busy: boolean;
  readonly error: Error | null;
  /** For `onSubmit`. */
  readonly submit: (event: FormEvent) => void;
}

export function useSubmit(work: () => Promise<void>): Submitting {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const isSending = useRef(false);
  const run = async (): Promise<void> => {
    isSending.current = true;
    setBusy(true);
    setError(null);
    try {
      await work();
    } catch (failure) {
      setError(failure as Error);
    } finally {
      isSending.current = false;
      setBusy(false);
    }
  };
  return {
    busy,
    error,
    submit: (event) => {
      event.preventDefault();
      if (!isSending.current) void run();
    },
  };
}
