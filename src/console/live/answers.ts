/**
 * What pages show: the service's last answer to each question, asked again when the stream tells that something has changed,
 * and now and then without. Several parts of a page that ask the same share one answer. Nothing is asked while nobody looks.
 *
 * Invariant: a failure never takes away what was shown; it only makes it stale. When a session ends, nothing that it was shown is left.
 */
import { useCallback, useSyncExternalStore } from 'react';
import type { AnswerOf, Operation, RequestOf } from '../../api/operation.ts';
import { ask, isSignedOut, onContact } from './contact.ts';

interface Shown<Answer> {
  readonly value: Answer | undefined;
  /** Of the last attempt. */
  readonly error: Error | null;
  /** When the value was answered. */
  readonly at: number;
}

interface Freshness {
  /** What the stream says that concerns this. */
  readonly topics?: readonly string[];
  /** At most this old, also without the stream. */
  readonly everyMs?: number;
}

interface Entry {
  shown: Shown<unknown>;
  readonly topics: ReadonlySet<string>;
  readonly listeners: Set<() => void>;
  readonly load: () => Promise<unknown>;
  readonly everyMs: number;
  timer: number | undefined;
  isLoading: boolean;
  /** Something has changed since the question that is under way was asked. */
  isOutdated: boolean;
}

/** Changes that come one upon another are looked at together. */
const gatherMs = 400;
const usualMs = 10_000;
/** As many answers as are kept that nobody shows. */
const maxKept = 100;
const entries = new Map<string, Entry>();

export function useAnswer<Op extends Operation>(
  operation: Op,
  request: RequestOf<Op>,
  { topics = [], everyMs = usualMs }: Freshness = {},
): Shown<AnswerOf<Op>> {
  const key = keyOf(operation, request);
  let entry = entries.get(key);
  if (entry === undefined) {
    dropUnseen();
    entry = {
      shown: { value: undefined, error: null, at: 0 },
      ...{ topics: new Set(topics), everyMs, listeners: new Set(), timer: undefined },
      ...{ isLoading: false, isOutdated: false },
      load: async () => await ask(operation, request),
    };
    entries.set(key, entry);
  }
  const shownBy = entry;
  const subscribe = useCallback((listener: () => void) => watch(shownBy, listener), [shownBy]);
  return useSyncExternalStore(subscribe, () => shownBy.shown as Shown<AnswerOf<Op>>);
}

/** Asks again what has to do with an operation's resource, after it has changed something. */
export async function refresh(...operations: readonly Operation[]): Promise<void> {
  const paths = operations.map(({ path }) => `GET ${path} `);
  const concerned = [...entries].filter(([key]) => paths.some((path) => key.startsWith(path)));
  await Promise.all(concerned.map(async ([, entry]) => await load(entry)));
}

/** What the stream has told. @param topic undefined: anything may have changed */
export function noteChange(topic: string | undefined): void {
  for (const entry of entries.values()) {
    if (topic === undefined || entry.topics.has(topic)) soon(entry, gatherMs);
  }
}

/** Of whoever signed in before: nothing of it is left. */
export function forgetAnswers(): void {
  for (const entry of entries.values()) {
    window.clearTimeout(entry.timer);
    entry.shown = { value: undefined, error: null, at: 0 };
    for (const listener of entry.listeners) listener();
  }
}

function keyOf(operation: Operation, request: unknown): string {
  return `${operation.method} ${operation.path} ${JSON.stringify(request)}`;
}

function watch(entry: Entry, listener: () => void): () => void {
  entry.listeners.add(listener);
  if (entry.listeners.size === 1 && !entry.isLoading)
    soon(entry, Date.now() - entry.shown.at > 2000 ? 0 : entry.everyMs);
  return () => {
    entry.listeners.delete(listener);
    if (entry.listeners.size === 0) window.clearTimeout(entry.timer);
  };
}

function soon(entry: Entry, delayMs: number): void {
  if (entry.isLoading) {
    entry.isOutdated ||= delayMs <= gatherMs;
    return;
  }
  window.clearTimeout(entry.timer);
  // Nobody is answered before somebody has signed in.
  if (entry.listeners.size > 0 && !isSignedOut()) entry.timer = window.setTimeout(() => void load(entry), delayMs);
}

async function load(entry: Entry): Promise<void> {
  window.clearTimeout(entry.timer);
  if (document.visibilityState === 'hidden' && entry.shown.value !== undefined) return;
  entry.isLoading = true;
  entry.isOutdated = false;
  try {
    entry.shown = { value: await entry.load(), error: null, at: Date.now() };
  } catch (error) {
    entry.shown = { ...entry.shown, error: error as Error };
  }
  if (isSignedOut()) entry.shown = { value: undefined, error: entry.shown.error, at: 0 };
  entry.isLoading = false;
  for (const listener of entry.listeners) listener();
  // Where nobody answers, the next attempt is what shows that somebody does again.
  soon(entry, entry.isOutdated ? gatherMs : entry.shown.error === null ? entry.everyMs : Math.min(entry.everyMs, 2000));
}

function dropUnseen(): void {
  if (entries.size < maxKept) return;
  for (const [key, { listeners }] of entries) if (listeners.size === 0) entries.delete(key);
}

document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') noteChange(undefined);
});
// When the service is back, everything is asked again, not only what noticed it.
onContact(() => {
  if (isSignedOut()) forgetAnswers();
  else noteChange(undefined);
});
