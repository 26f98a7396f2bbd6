/**
 * An HTTP listener on loopback whose port may still be in use by the process that this one replaces.
 *
 * Invariant: a chosen port is listened on as soon as it is free; until then the listener answers on another one, so that
 * health can be checked from the start.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface LoopbackListener {
  /** The first address it listened on: `http://127.0.0.1:port`. */
  url: string;
  /** Ends idle connections at once, and all others after a second. */
  close(): Promise<void>;
}

interface LoopbackOptions {
  handler: RequestListener;
  /** 0 takes a free one. */
  port: number;
  /** The port is in use, and will be tried until it is free. */
  onBusy: (error: unknown) => void;
  /** It was in use for too long. */
  onFailed: (error: unknown) => void;
  /** Default 120 s: longer than a supervisor lets two processes of one name run side by side. */
  patienceMs?: number;
}

const tryAgainMs = 100;

/** @throws the system's error when it cannot listen for any reason other than a port in use. */
export async function listenOnLoopback(options: LoopbackOptions): Promise<LoopbackListener> {
  const { port, handler } = options;
  const closing = new AbortController();
  const servers: Server[] = [];
  const open = async (wanted: number) => {
    const server = await listening(handler, wanted);
    servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  let waiting: Promise<unknown> = Promise.resolve();
  let url: string;
  try {
    url = await open(port);
  } catch (error) {
    if (port === 0 || !isInUse(error)) throw error;
    options.onBusy(error);
    url = await open(0);
    waiting = untilFree(options, () => open(port), closing.signal);
  }
  return {
    url,
    close: async () => {
      closing.abort();
      await waiting;
      await Promise.all(servers.map(closeServer));
    },
  };
}

async function untilFree(
  { patienceMs = 120_000, onFailed }: LoopbackOptions,
  open: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!signal.aborted) {
    await delay(tryAgainMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    try {
      await open();
      return;
    } catch (error) {
      if (!isInUse(error) || performance.now() > deadline) return onFailed(error);
    }
  }
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

async function listening(handler: RequestListener, port: number): Promise<Server> {
  const server = createServer(handler);
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return server;
}

async function closeServer(server: Server): Promise<void> {
  server.closeIdleConnections();
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    setTimeout(() => server.closeAllConnections(), 1000).unref();
  });
}
