/** What a form says of one of its fields. */
import { createContext, use } from 'react';

interface Fault {
  /** The name of the field; null for the form as a whole. */
  readonly field: string | null;
  readonly error: Error;
}

export const FaultContext = createContext<Fault | null>(null);

export function useFault(name: string): string | undefined {
  const fault = use(FaultContext);
  return fault?.field === name ? fault.error.message : undefined;
}
