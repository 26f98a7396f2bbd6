/** Where in the console a person is. All of it is in the address, so that a link shows somebody else the same. */
import { type MouseEvent, useMemo, useSyncExternalStore } from 'react';

interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

const listeners = new Set<() => void>();
const tell = (): void => {
  for (const listener of listeners) listener();
};
window.addEventListener('popstate', tell);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePlace(): Place {
  const address = useSyncExternalStore(subscribe, () => location.pathname + location.search);
  return useMemo(() => {
    const { pathname, searchParams } = new URL(address, location.origin);
    return { path: pathname, query: searchParams };
  }, [address]);
}

/** @param replaces for what is no step that *back* should undo, such as a filter while it is typed */
export function goTo(address: string, { replaces = false }: { replaces?: boolean } = {}): void {
  if (address === location.pathname + location.search) return;
  if (replaces) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  tell();
  if (!replaces) {
    window.scrollTo(0, 0);
    // A screen reader goes on at the beginning of the new page.
    document.getElementById('content')?.focus({ preventScroll: true });
  }
}

/** The address of the same page with other values in its query; an empty one is left out. */
export function withQuery(place: Place, changes: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(place.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text === '' ? place.path : `${place.path}?${text}`;
}

/** For links: stays in the page, unless another window was asked for. */
export function followLink(event: MouseEvent<HTMLAnchorElement>): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  goTo(event.currentTarget.pathname + event.currentTarget.search);
}

/** The page that a path belongs to: its first part. */
export function pageOf(path: string): string {
  return /^\/[^/]*/.exec(path)?.[0] ?? '/';
}
