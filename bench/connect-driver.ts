/**
 * A closed-loop HTTP/1.1 client on bare sockets: each connection sends one prepared request, waits for the whole reply,
 * sends the next. It parses only status line and length, so that what is measured is the server.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface ConnectTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface DriveOptions {
  /** Whole HTTP/1.1 requests as bytes; taken in turn. */
  readonly requests: readonly Buffer[];
  /** Where request number i goes; one target for all, or one for each request. */
  readonly target: ConnectTarget;
  readonly connections: number;
  readonly durationMs: number;
  /** Of each connection, from one request to the next; without it, at once. One that is late does not catch up. */
  readonly everyMs?: number;
  /** Requests sent before the clock starts. */
  readonly warmUpMs?: number;
  /** Trusted for TLS; without it certificates are not checked. */
  readonly caPem?: string;
  readonly signal?: AbortSignal;
}

export interface DriveResult {
  /** Answered after the warm-up; the figures are theirs. */
  readonly requests: number;
  /** Answered in all. */
  readonly answered: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Status code -> count. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Replies that carried a body: a device was handed a command, which the driver does not answer. */
  readonly withBody: number;
  /** Connections that broke; each was opened again. */
  readonly broken: number;
}

/** Drives until the time is over. A broken connection is counted and opened again after 50 ms. */
export async function driveConnects(options: DriveOptions): Promise<DriveResult> {
  const latencies: number[] = [];
  const statuses: Record<string, number> = {};
  let withBody = 0;
  let broken = 0;
  let turn = 0;
  let answered = 0;
  const startsAt = performance.now() + (options.warmUpMs ?? 0);
  const endsAt = startsAt + options.durationMs;

  const loop = async (): Promise<void> => {
    while (performance.now() < endsAt && options.signal?.aborted !== true) {
      const ended = await driveConnection(options, endsAt, {
        next: () => options.requests[turn++ % options.requests.length] ?? Buffer.alloc(0),
        done: (status, bodyBytes, startedAt, now) => {
          answered += 1;
          if (startedAt < startsAt) return;
          latencies.push(now - startedAt);
          statuses[status] = (statuses[status] ?? 0) + 1;
          if (bodyBytes > 0) withBody += 1;
        },
      });
      if (ended === 'broken') {
        broken += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  await Promise.all(Array.from({ length: options.connections }, loop));

  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number): number =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
  return {
    requests: sorted.length,
    answered,
    perSecond: Math.round((sorted.length / Math.max(1, performance.now() - startsAt)) * 1000),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    statuses,
    withBody,
    broken,
  };
}

interface Exchange {
  next(): Buffer;
  done(status: string, bodyBytes: number, startedAt: number, now: number): void;
}

function driveConnection(options: DriveOptions, endsAt: number, exchange: Exchange): Promise<'finished' | 'broken'> {
  return new Promise((resolve) => {
    const { host, port, tls } = options.target;
    const socket: Socket = tls
      ? connectTls({
          host,
          port,
          ...(/^[\d.:]+$/.test(host) ? {} : { servername: host }),
          ...(options.caPem === undefined ? { rejectUnauthorized: false } : { ca: options.caPem }),
        })
      : connectTcp({ host, port });
    socket.setNoDelay(true);
    let startedAt = 0;
    const reply = new ReplyReader();

    const finish = (how: 'finished' | 'broken'): void => {
      socket.destroy();
      resolve(how);
    };
    const sendNext = (): void => {
      if (performance.now() >= endsAt || options.signal?.aborted === true) {
        finish('finished');
        return;
      }
      startedAt = performance.now();
      socket.write(exchange.next());
    };
    const sendWhenDue = (): void => {
      const leftMs = startedAt + (options.everyMs ?? 0) - performance.now();
      if (leftMs > 0) setTimeout(sendNext, leftMs);
      else sendNext();
    };
    socket.on(tls ? 'secureConnect' : 'connect', sendNext);
    socket.on('error', () => finish('broken'));
    socket.on('close', () => finish('broken'));
    socket.on('data', (chunk: Buffer) => {
      const whole = reply.push(chunk);
      if (whole === 'incomplete') return;
      if (whole === 'malformed') {
        finish('broken');
        return;
      }
      exchange.done(whole.status, whole.bodyBytes, startedAt, performance.now());
      if (whole.closes) finish('finished');
      else sendWhenDue();
    });
  });
}

interface WholeReply {
  readonly status: string;
  readonly bodyBytes: number;
  readonly closes: boolean;
}

/** Reads one reply at a time: nearly always it is one chunk, which is then looked at once. */
class ReplyReader {
  #held: Buffer | undefined;

  push(chunk: Buffer): WholeReply | 'incomplete' | 'malformed' {
    const bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    const result = readReply(bytes);
    this.#held = result === 'incomplete' ? bytes : undefined;
    return result;
  }
}

function readReply(bytes: Buffer): WholeReply | 'incomplete' | 'malformed' {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return bytes.length > 65_536 ? 'malformed' : 'incomplete';
  const head = bytes.toString('latin1', 0, headEnd).toLowerCase();
  if (!head.startsWith('http/1.1 ')) return 'malformed';
  const status = head.slice(9, 12);
  const closes = head.includes('\r\nconnection: close');
  const bodyStart = headEnd + 4;
  const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1];
  if (length !== undefined) {
    const bodyBytes = Number(length);
    return bytes.length < bodyStart + bodyBytes ? 'incomplete' : { status, bodyBytes, closes };
  }
  if (head.includes('\r\ntransfer-encoding: chunked')) {
    const bodyBytes = chunkedLength(bytes, bodyStart);
    return typeof bodyBytes === 'number' ? { status, bodyBytes, closes } : bodyBytes;
  }
  return status === '204' || status === '304' ? { status, bodyBytes: 0, closes } : 'malformed';
}

function chunkedLength(bytes: Buffer, start: number): number | 'incomplete' | 'malformed' {
  let total = 0;
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return 'incomplete';
    const sizeBytes = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (Number.isNaN(sizeBytes)) return 'malformed';
    at = lineEnd + 2 + sizeBytes + 2;
    if (bytes.length < at) return 'incomplete';
    if (sizeBytes === 0) return total;
    total += sizeBytes;
  }
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
