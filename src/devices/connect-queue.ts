/**
 * Connects that wait for a statement. Invariant: of each device at most one is being served at a time, in order of
 * arrival, and only a few wait: no device can fail or delay others.
 */
import type { ConnectRequest } from './connect-request.ts';
import type { ConnectOutcome } from './connect-statement.ts';

export interface WaitingConnect {
  request: ConnectRequest;
  sinceMs: number;
  resolve: (outcome: ConnectOutcome) => void;
  reject: (error: unknown) => void;
}

interface ConnectQueue {
  size(): number;
  oldest(): WaitingConnect | undefined;
  /** Whether another request of this device may wait. */
  hasRoomFor(token: string): boolean;
  add(entry: WaitingConnect): void;
  /** The oldest requests of devices that are not being served, at most one of each and `limit` in all. */
  take(limit: number): WaitingConnect[];
  /** They have been served: each device's next request may be taken. */
  release(served: readonly WaitingConnect[]): void;
}

export function createConnectQueue(limits: { maxWaiting: number; maxWaitingOfDevice: number }): ConnectQueue {
  const waiting: WaitingConnect[] = [];
  const waitingOf = new Map<string, number>();
  const atWork = new Set<string>();

  function forget(token: string): void {
    const left = (waitingOf.get(token) ?? 1) - 1;
    if (left > 0) waitingOf.set(token, left);
    else waitingOf.delete(token);
  }

  return {
    size: () => waiting.length,
    oldest: () => waiting[0],
    hasRoomFor: (token) =>
      waiting.length < limits.maxWaiting && (waitingOf.get(token) ?? 0) < limits.maxWaitingOfDevice,
    add(entry) {
      const { token } = entry.request;
      waitingOf.set(token, (waitingOf.get(token) ?? 0) + 1);
      waiting.push(entry);
    },
    take(limit) {
      const batch: WaitingConnect[] = [];
      const passed: WaitingConnect[] = [];
      while (waiting.length > 0 && batch.length < limit) {
        const entry = waiting.shift();
        if (!entry) break;
        if (atWork.has(entry.request.token)) {
          passed.push(entry);
        } else {
          atWork.add(entry.request.token);
          forget(entry.request.token);
          batch.push(entry);
        }
      }
      waiting.unshift(...passed);
      return batch;
    },
    release(served) {
      for (const { request } of served) atWork.delete(request.token);
    },
  };
}
