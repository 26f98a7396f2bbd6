/** j and k go down and up in a list, as do the arrows, from one entry's first control to the next one's. */
import type { KeyboardEvent } from 'react';

const controls = 'summary, a[href], button, input';
const steps: Readonly<Record<string, number>> = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

/** @param entries a selector of the list's entries */
export function moveBetween(event: KeyboardEvent<HTMLElement>, entries: string): void {
  const by = steps[event.key];
  if (by === undefined || event.metaKey || event.ctrlKey || event.altKey) return;
  const all = [...event.currentTarget.querySelectorAll(entries)].flatMap((entry) => {
    const control = entry.querySelector<HTMLElement>(controls);
    return control === null ? [] : [{ entry, control }];
  });
  const here = all.findIndex(({ entry }) => entry.contains(document.activeElement));
  const next = all[here + by]?.control;
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
}
