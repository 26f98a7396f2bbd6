/** Whether there is anything on this page that would be lost with it: typed and not sent, sent and not answered, shown only once. */
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
