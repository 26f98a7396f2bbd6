/**
 * A device's tunnel to an internal host: HTTP/2 CONNECT over TLS with the device's certificate, under the domain's tunnel
 * host name. Bytes of a known pattern go through all the time, so that a tunnel that hangs or garbles is noticed. A CONNECT
 * that the server did not process, since it was ending the connection, is sent again once over a fresh one.
 * @see RFC 9113 §8.5 (CONNECT), §8.7 (REFUSED_STREAM)
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { messageOf } from '../base/errors.ts';
import type { DeviceTrust } from './device-http.ts';
import { type JournalEvent, monotoneNow } from './journal.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface TunnelOptions {
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

const pieceBytes = 1024;
const maxRefusalBytes = 4096;

/** Starts opening; everything that happens to the tunnel goes to the journal. Never throws. */
export function openTunnel(options: TunnelOptions): Tunnel {
  const { name, target } = options;
  const startedAt = monotoneNow();
  const pattern = options.random.bytes(4096);
  let state: 'opening' | 'open' | 'over' = 'opening';
  let sentBytes = 0;
  let receivedBytes = 0;
  let beat: NodeJS.Timeout | undefined;
  let settle: (opening: TunnelOpening) => void = () => {};
  const opening = new Promise<TunnelOpening>((resolve) => {
    settle = resolve;
  });

  const host = options.publicUrl.hostname.replace(/^\[|\]$/g, '');
  const { rootsPem, identity } = options.trust;
  let socket: TLSSocket;
  let session: ClientHttp2Session;

  const over = (): void => {
    state = 'over';
    clearTimeout(beat);
    clearTimeout(openDeadline);
    session.destroy();
    socket.destroy();
  };
  const broken = (reason: string): void => {
    if (state === 'over') return;
    over();
    options.journal({ event: 'tunnel-broken', tunnel: name, target, reason, sentBytes, receivedBytes });
    settle({ kind: 'broken', reason });
  };
  const openDeadline = setTimeout(() => broken('no answer to the CONNECT'), options.timeoutMs);

  const sendPiece = (stream: ClientHttp2Stream): void => {
    stream.write(patternAt(pattern, sentBytes, pieceBytes));
    sentBytes += pieceBytes;
    beat = setTimeout(() => broken('no echo in time'), options.timeoutMs);
  };
  const receive = (stream: ClientHttp2Stream, chunk: Buffer): void => {
    if (!chunk.equals(patternAt(pattern, receivedBytes, chunk.length))) {
      broken('the echo was not what was sent');
      return;
    }
    receivedBytes += chunk.length;
    if (receivedBytes < sentBytes) return;
    clearTimeout(beat);
    beat = setTimeout(() => sendPiece(stream), options.random.around(options.periodMs, 0.3));
  };
  const refused = (stream: ClientHttp2Stream, httpStatus: number): void => {
    state = 'over';
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => {
      if (chunks.reduce((sum, piece) => sum + piece.length, 0) < maxRefusalBytes) chunks.push(chunk);
    });
    stream.on('close', () => {
      over();
      const code = refusalCode(Buffer.concat(chunks));
      const refusal = { httpStatus, ...(code === undefined ? {} : { code }) };
      options.journal({ event: 'tunnel-refused', tunnel: name, target, ...refusal });
      settle({ kind: 'refused', ...refusal });
    });
    stream.end();
    setTimeout(() => stream.close(), 1000).unref();
  };

  const dial = (again: boolean): void => {
    socket = connectTls({
      host,
      port: Number(options.publicUrl.port || 443),
      servername: options.tunnelHost,
      ALPNProtocols: ['h2'],
      ca: [...rootsPem],
      ...(identity === undefined ? {} : { cert: identity.certificatePem, key: identity.keyPem }),
    });
    const own = connectHttp2(`https://${options.tunnelHost}`, { createConnection: () => socket });
    session = own;
    const failed = (reason: string): void => {
      if (session === own) broken(reason);
    };
    socket.on('error', (error) => failed(messageOf(error)));
    own.on('error', (error) => failed(messageOf(error)));
    own.on('close', () => failed('the connection ended'));
    own.on('connect', () => {
      const stream = own.request({ ':method': 'CONNECT', ':authority': target }, { endStream: false });
      stream.on('error', (error) => {
        const unprocessed = state === 'opening' && stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
        if (!unprocessed || again) {
          failed(messageOf(error));
          return;
        }
        dial(true);
        own.destroy();
      });
      stream.on('response', (headers) => answered(stream, Number(headers[':status'])));
    });
  };
  const answered = (stream: ClientHttp2Stream, httpStatus: number): void => {
    if (state !== 'opening') return;
    clearTimeout(openDeadline);
    if (httpStatus !== 200) {
      refused(stream, httpStatus);
      return;
    }
    state = 'open';
    const latencyMs = Math.round((monotoneNow() - startedAt) * 100) / 100;
    options.journal({ event: 'tunnel-opened', tunnel: name, target, latencyMs });
    settle({ kind: 'open' });
    stream.on('data', (chunk: Buffer) => receive(stream, chunk));
    stream.on('close', () => broken('the stream ended'));
    sendPiece(stream);
  };
  dial(false);

  return {
    name,
    opening,
    isOpen: () => state === 'open',
    close() {
      if (state === 'over') return;
      over();
      options.journal({ event: 'tunnel-closed', tunnel: name, target, sentBytes, receivedBytes });
      settle({ kind: 'broken', reason: 'closed' });
    },
  };
}

/** `size` bytes of the endless repetition of the pattern, from `position` on. */
function patternAt(pattern: Buffer, position: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) bytes[at] = pattern[(position + at) % pattern.length] ?? 0;
  return bytes;
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
