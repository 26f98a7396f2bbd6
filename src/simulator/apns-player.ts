/**
 * Plays the push service: HTTP/2 over TLS on loopback, with its own certificate, which the domain is configured to
 * trust. It wakes the fleet's own devices, and refuses what the real one would refuse.
 * @see Apple, "Sending notification requests to APNs"; payload `{"mdm": <push magic>}`
 */
import { randomUUID } from 'node:crypto';
import { createSecureServer, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import * as z from 'zod';
import type { LoopbackCertificate } from './loopback-certificate.ts';
import type { SeededRandom } from './seeded-random.ts';

/** What a push token stands for. */
interface PushTarget {
  readonly topic: string;
  readonly magic: string;
  wake(): void;
  /** A push was refused although the token is known. */
  refused(httpStatus: number, reason: string): void;
}

interface ApnsPlayerOptions {
  readonly certificate: LoopbackCertificate;
  /** By lower-case hexadecimal token; undefined: unregistered. */
  find(token: string): PushTarget | undefined;
  readonly random: SeededRandom;
  /** 0: any free port. */
  readonly port?: number;
}

/** How often a valid push is refused. Probabilities, 0 to 1. */
interface ApnsFaults {
  tooManyRequests: number;
  unavailable: number;
}

export interface ApnsPlayer {
  readonly url: string;
  /** The root that the domain has to trust. */
  readonly caPem: string;
  /** Can be changed while it runs. */
  readonly faults: ApnsFaults;
  counts(): { readonly accepted: number; readonly refused: number };
  close(): Promise<void>;
}

const payloadForm = z.object({ mdm: z.string().min(1) });
const maxPayloadBytes = 4096;

export async function startApnsPlayer(options: ApnsPlayerOptions): Promise<ApnsPlayer> {
  const faults: ApnsFaults = { tooManyRequests: 0, unavailable: 0 };
  const sessions = new Set<Http2Session>();
  let accepted = 0;
  let refused = 0;
  const server = createSecureServer({ key: options.certificate.keyPem, cert: options.certificate.certificatePem });

  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => session.destroy());
  });
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    stream.on('error', () => stream.destroy());
    stream.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= maxPayloadBytes) chunks.push(chunk);
    });
    stream.on('end', () => {
      const outcome =
        sizeBytes > maxPayloadBytes
          ? { status: 413, reason: 'PayloadTooLarge' }
          : judge(options, faults, {
              method: headers[':method'],
              path: headers[':path'] ?? '',
              topic: headers['apns-topic'],
              body: Buffer.concat(chunks),
            });
      if (outcome.status === 200) accepted += 1;
      else refused += 1;
      answer(stream, outcome);
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', () => resolve());
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    caPem: options.certificate.caPem,
    faults,
    counts: () => ({ accepted, refused }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

interface PushRequest {
  readonly method: string | undefined;
  readonly path: string;
  readonly topic: string | string[] | undefined;
  readonly body: Buffer;
}
type PushOutcome = { readonly status: number; readonly reason?: string };

function judge(options: ApnsPlayerOptions, faults: ApnsFaults, request: PushRequest): PushOutcome {
  if (request.method !== 'POST') return { status: 405, reason: 'MethodNotAllowed' };
  const match = /^\/3\/device\/([^/?]*)$/.exec(request.path);
  if (match === null) return { status: 404, reason: 'BadPath' };
  const token = (match[1] ?? '').toLowerCase();
  if (!/^([0-9a-f]{2}){16,100}$/.test(token)) return { status: 400, reason: 'BadDeviceToken' };
  const target = options.find(token);
  if (target === undefined) return { status: 410, reason: 'Unregistered' };
  const refuse = (status: number, reason: string): PushOutcome => {
    target.refused(status, reason);
    return { status, reason };
  };
  if (request.topic === undefined) return refuse(400, 'MissingTopic');
  if (request.topic !== target.topic) return refuse(400, 'DeviceTokenNotForTopic');
  let magic: string;
  try {
    magic = payloadForm.parse(JSON.parse(request.body.toString('utf8'))).mdm;
  } catch {
    return refuse(400, request.body.length === 0 ? 'PayloadEmpty' : 'BadPayload');
  }
  if (options.random.chance(faults.tooManyRequests)) return refuse(429, 'TooManyRequests');
  if (options.random.chance(faults.unavailable)) return refuse(503, 'ServiceUnavailable');
  // The push service accepts any magic; it is the device that ignores a wrong one.
  if (magic === target.magic) target.wake();
  else target.refused(200, 'WrongPushMagic');
  return { status: 200 };
}

function answer(stream: ServerHttp2Stream, outcome: PushOutcome): void {
  if (stream.destroyed) return;
  stream.respond({ ':status': outcome.status, 'apns-id': randomUUID().toUpperCase() });
  stream.end(outcome.reason === undefined ? '' : JSON.stringify({ reason: outcome.reason }));
}
