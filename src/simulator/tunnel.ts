/**
 * A device's tunnel to an internal host, under the domain's tunnel host name. Bytes of a known pattern go through all the
 * time, so that a tunnel that hangs or garbles is noticed. Invariant: it is over once, and the journal says how.
 */
import type { ClientHttp2Stream } from 'node:http2';
import type { DeviceTrust } from './device-http.ts';
import { createEchoTraffic } from './echo-traffic.ts';
import { type JournalEvent, monotoneNow } from './journal.ts';
import type { SeededRandom } from './seeded-random.ts';
import { connectTunnel } from './tunnel-connection.ts';

interface TunnelOptions {
  /** Unique in the journal. */
  readonly name: string;
  /** Where the domain listens: host and port of its public address. */
  readonly publicUrl: URL;
  /** The host name that tunnels are opened under (SNI). */
  readonly tunnelHost: string;
  /** The internal `host:port`; something there must echo. */
  readonly target: string;
  readonly trust: DeviceTrust;
  readonly random: SeededRandom;
  /** Time between two pieces of traffic. */
  readonly periodMs: number;
  /** A tunnel that does not open, or an echo that does not come, within this is broken. */
  readonly timeoutMs: number;
  journal(event: JournalEvent): void;
}

export type TunnelOpening =
  | { readonly kind: 'open' }
  | { readonly kind: 'refused'; readonly httpStatus: number; readonly code?: string }
  | { readonly kind: 'broken'; readonly reason: string };

export interface Tunnel {
  readonly name: string;
  /** Settles when the CONNECT has been answered or has failed. */
  readonly opening: Promise<TunnelOpening>;
  /** True while bytes can pass. */
  isOpen(): boolean;
  close(): void;
}

const maxRefusalBytes = 4096;

/** Starts opening; everything that happens to the tunnel goes to the journal. Never throws. */
export function openTunnel(options: TunnelOptions): Tunnel {
  const { name, target } = options;
  const startedAt = monotoneNow();
  let state: 'opening' | 'open' | 'over' = 'opening';
  const opening = Promise.withResolvers<TunnelOpening>();

  const over = (): void => {
    state = 'over';
    traffic.end();
    clearTimeout(openDeadline);
    connection.destroy();
  };
  const broken = (reason: string): void => {
    if (state === 'over') return;
    over();
    options.journal({ event: 'tunnel-broken', tunnel: name, target, reason, ...traffic.counts() });
    opening.resolve({ kind: 'broken', reason });
  };
  const answered = (stream: ClientHttp2Stream, httpStatus: number): void => {
    if (state !== 'opening') return;
    clearTimeout(openDeadline);
    if (httpStatus !== 200) {
      state = 'over';
      readRefusal(stream, (code) => {
        over();
        const refusal = { httpStatus, ...(code === undefined ? {} : { code }) };
        options.journal({ event: 'tunnel-refused', tunnel: name, target, ...refusal });
        opening.resolve({ kind: 'refused', ...refusal });
      });
      return;
    }
    state = 'open';
    const latencyMs = Math.round((monotoneNow() - startedAt) * 100) / 100;
    options.journal({ event: 'tunnel-opened', tunnel: name, target, latencyMs });
    opening.resolve({ kind: 'open' });
    traffic.begin(stream);
  };
  const { random, periodMs, timeoutMs, publicUrl, tunnelHost, trust } = options;
  const traffic = createEchoTraffic({ random, periodMs, timeoutMs, broken });
  const openDeadline = setTimeout(() => broken('no answer to the CONNECT'), timeoutMs);
  const connection = connectTunnel({
    ...{ publicUrl, tunnelHost, target, trust, answered, failed: broken },
    isOpening: () => state === 'opening',
  });

  return {
    name,
    opening: opening.promise,
    isOpen: () => state === 'open',
    close() {
      if (state === 'over') return;
      over();
      options.journal({ event: 'tunnel-closed', tunnel: name, target, ...traffic.counts() });
      opening.resolve({ kind: 'broken', reason: 'closed' });
    },
  };
}

/** Hears the body of a refusal out, for as long as a second, and takes its code. */
function readRefusal(stream: ClientHttp2Stream, refused: (code: string | undefined) => void): void {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => {
    if (chunks.reduce((sum, piece) => sum + piece.length, 0) < maxRefusalBytes) chunks.push(chunk);
  });
  stream.on('close', () => refused(refusalCode(Buffer.concat(chunks))));
  stream.end();
  setTimeout(() => stream.close(), 1000).unref();
}

function refusalCode(body: Buffer): string | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && 'code' in value && typeof value.code === 'string'
      ? value.code
      : undefined;
  } catch {
    // A refusal without a JSON body has no code; its status is in the journal.
    return undefined;
  }
}
