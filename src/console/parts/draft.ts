/**
 * What is typed into a form that can be closed: Escape, another page or a session that ends do not lose it; whoever opens the
 * form again goes on. It ends when it was sent or cancelled, and with whoever typed it. Passwords are in no draft.
 */
import { useState } from 'react';

const drafts = new Map<string, unknown>();

interface Draft<Values> {
  readonly values: Values;
  readonly change: (change: Partial<Values>) => void;
  /** Sent, or given up. */
  readonly drop: () => void;
}

/** @param name of the form, and of what it is about */
export function useDraft<Values extends object>(name: string, initial: Values): Draft<Values> {
  const [values, setValues] = useState(() => (drafts.get(name) as Values | undefined) ?? initial);
  return {
    values,
    change: (change) => {
      setValues((before) => {
        const after = { ...before, ...change };
        drafts.set(name, after);
        return after;
      });
    },
    drop: () => drafts.delete(name),
  };
}

export function forgetDrafts(): void {
  drafts.clear();
}
