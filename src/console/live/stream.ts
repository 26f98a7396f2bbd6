/**
 * The event stream, one for all tabs of a browser: it opens only six connections to a server, and a seventh tab would wait
 * without a word. The tab that holds the lock reads the stream and tells the others; when it is closed, another takes over.
 */
import { useSyncExternalStore } from 'react';
import type { StreamKind } from '../../api/event-stream.ts';
import { jsonOrUndefined } from '../../base/shallow-json.ts';
import { noteChange } from './answers.ts';

type StreamState = 'connecting' | 'live' | 'behind' | 'lost';
interface Told {
  readonly state: StreamState;
  /** Since when it is so; of `behind`, what everything is known up to. */
  readonly since: number;
}
type Word = { kind: 'state'; told: Told } | { kind: 'topic'; topic: string | undefined } | { kind: 'who-knows' };

const name = 'bramble-stream';
const address = '/api/v1/events';
const retryMs = 3000;
/** A service that accepts a connection and never answers looks like one that is about to. */
const openMs = 15_000;
let told: Told = { state: 'connecting', since: Date.now() };
const listeners = new Set<() => void>();
let channel: BroadcastChannel | undefined;
let isReader = false;

export function useStream(): Told {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => told,
  );
}

/** Until the returned function is called: whoever is signed out is told nothing. */
export function followStream(): () => void {
  const leaving = new AbortController();
  const { signal } = leaving;
  const shared = new BroadcastChannel(name);
  channel = shared;
  shared.addEventListener('message', ({ data }: MessageEvent<Word>) => {
    if (data.kind === 'state') take(data.told);
    else if (data.kind === 'topic') noteChange(data.topic);
    else if (isReader) say({ kind: 'state', told });
  });
  say({ kind: 'who-knows' });
  void navigator.locks
    .request(name, { signal }, async () => {
      isReader = true;
      await readUntil(signal);
      isReader = false;
    })
    .catch(() => undefined);
  return () => {
    leaving.abort();
    shared.close();
    if (channel === shared) channel = undefined;
    take({ state: 'connecting', since: Date.now() });
  };
}

/** The browser connects again by itself, unless it was refused. */
async function readUntil(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const source = new EventSource(address);
    let opening: number | undefined;
    await new Promise<void>((resolve) => {
      const awaitOpening = (): void => {
        window.clearTimeout(opening);
        opening = window.setTimeout(() => {
          lose();
          resolve();
        }, openMs);
      };
      awaitOpening();
      signal.addEventListener('abort', () => resolve(), { once: true });
      source.addEventListener('open', () => window.clearTimeout(opening));
      source.addEventListener('message', ({ data }: MessageEvent<string>) => understand(data));
      source.addEventListener('error', () => {
        lose();
        awaitOpening();
        if (source.readyState === EventSource.CLOSED) window.setTimeout(resolve, retryMs);
      });
    });
    window.clearTimeout(opening);
    source.close();
  }
}

function lose(): void {
  if (told.state === 'lost') return;
  tell({ state: 'lost', since: Date.now() });
  // Perhaps the service is gone: what is asked now says so at once, and who answers instead.
  tellTopic(undefined);
}

function understand(data: string): void {
  const message = jsonOrUndefined(data) as { topic?: string; kind?: string; at?: string } | undefined;
  if (message === undefined) return;
  if (message.topic !== 'stream') {
    tellTopic(message.topic);
    return;
  }
  const kind = message.kind as StreamKind;
  if (kind === 'reset') tellTopic(undefined);
  else if (kind === 'behind') tell({ state: 'behind', since: Date.parse(message.at ?? '') || Date.now() });
  else if (kind === 'ready' || kind === 'current') tell({ state: 'live', since: Date.now() });
}

function tellTopic(topic: string | undefined): void {
  say({ kind: 'topic', topic });
  noteChange(topic);
}

function tell(next: Told): void {
  say({ kind: 'state', told: next });
  take(next);
}

function say(word: Word): void {
  channel?.postMessage(word);
}

function take(next: Told): void {
  // What was missed while nothing was told is looked at now.
  const isBack = next.state === 'live' && told.state !== 'live';
  told = next;
  for (const listener of listeners) listener();
  if (isBack) noteChange(undefined);
}
