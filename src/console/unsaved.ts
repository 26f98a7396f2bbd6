/** Whether anything is typed on this page that was not sent. */
import { useSyncExternalStore } from 'react';

const forms = new Set<object>();
const listeners = new Set<() => void>();

export function noteUnsaved(form: object, isUnsaved: boolean): void {
  if (isUnsaved) forms.add(form);
  else forms.delete(form);
  for (const listener of listeners) listener();
}

export function useIsUnsaved(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => forms.size > 0,
  );
}
