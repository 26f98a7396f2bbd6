/**
 * One device's HTTPS connection: keep-alive, one request at a time, its identity certificate shown in TLS. An outcome is
 * always a value, so that every request ends in the journal with the class of its failure.
 *
 * A server may end a kept-alive connection at any time, also while a request is on its way to it. Such a request is
 * sent again, once, over a fresh connection, if the connection had carried another before, no part of an answer has
 * arrived, and the method is idempotent, as MDM's are.
 *
 * @see RFC 9112 §9.3.1, RFC 9110 §9.2.2
 */
import { Agent, type RequestOptions, request as startRequest } from 'node:https';
import { messageOf } from '../base/errors.ts';
import { type FailureClass, monotoneNow } from './journal.ts';

interface DeviceReply {
  readonly httpStatus: number;
  readonly contentType: string;
  readonly body: Buffer;
}

/** `sentAgain`: the outcome is that of the second attempt; the latency counts from the first. */
export type HttpOutcome = { readonly startedAt: number; readonly latencyMs: number; readonly sentAgain: boolean } & (
  | ({ readonly kind: 'replied' } & DeviceReply)
  | { readonly kind: 'failed'; readonly failure: FailureClass; readonly message: string }
);

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Break the connection off once the request is written, as if the reply had been lost on the way. */
  readonly loseReply?: boolean;
  /** Accept any server certificate: only for the first contact, before anything is trusted. */
  readonly unverified?: boolean;
}

export interface DeviceHttp {
  send(request: HttpRequest): Promise<HttpOutcome>;
  /** From now on trust these roots and present this identity. Open connections are closed. */
  setTrust(trust: DeviceTrust): void;
  close(): void;
}

export interface DeviceTrust {
  readonly rootsPem: readonly string[];
  readonly identity?: { readonly certificatePem: string; readonly keyPem: string };
}

const maxReplyBytes = 4 * 1024 * 1024;

/** @param timeoutMs from the start of a request to the end of its reply */
export function openDeviceHttp(initial: DeviceTrust, timeoutMs: number, signal: AbortSignal): DeviceHttp {
  let agent = agentFor(initial);
  return {
    send: (request) => send(request, agent, timeoutMs, signal),
    setTrust(trust) {
      agent.destroy();
      agent = agentFor(trust);
    },
    close: () => agent.destroy(),
  };
}

/**
 * Below the 5 s after which a Node server closes, also where it does not say so in `Keep-Alive`: the side that closes
 * first wins.
 */
const idleTimeoutMs = 4000;

/** An idle connection is left after `idleTimeoutMs`, or what the server hints at, whichever is shorter. */
function agentFor(trust: DeviceTrust): Agent {
  return new Agent({
    keepAlive: true,
    maxSockets: 1,
    maxFreeSockets: 1,
    timeout: idleTimeoutMs,
    ...(trust.rootsPem.length === 0 ? {} : { ca: [...trust.rootsPem] }),
    ...(trust.identity === undefined ? {} : { cert: trust.identity.certificatePem, key: trust.identity.keyPem }),
  });
}

async function send(request: HttpRequest, agent: Agent, timeoutMs: number, signal: AbortSignal): Promise<HttpOutcome> {
  const startedAt = monotoneNow();
  const left = () => timeoutMs - (monotoneNow() - startedAt);
  let result = await sendOnce(request, agent, left(), signal);
  const sentAgain = result.kind === 'failed' && result.unheard && request.method !== 'POST' && !signal.aborted;
  if (sentAgain) result = await sendOnce(request, agent, left(), signal);
  const latencyMs = Math.round((monotoneNow() - startedAt) * 100) / 100;
  return { startedAt: Math.round(startedAt * 100) / 100, latencyMs, sentAgain, ...result };
}

type Once = ({ readonly kind: 'replied' } & DeviceReply) | Failed;

function sendOnce(request: HttpRequest, agent: Agent, timeoutMs: number, signal: AbortSignal): Promise<Once> {
  return new Promise((resolve) => {
    let settled = false;
    const settle = (result: Once): void => {
      if (settled) return;
      settled = true;
      clearTimeout(deadline);
      signal.removeEventListener('abort', onAbort);
      resolve(result);
    };
    const options: RequestOptions = {
      method: request.method,
      agent,
      headers: {
        ...request.headers,
        ...(request.body === undefined ? {} : { 'content-length': String(request.body.length) }),
      },
      ...(request.unverified === true ? { rejectUnauthorized: false } : {}),
    };
    const outgoing = startRequest(request.url, options);
    const breakOff = (failure: FailureClass, message: string): void => {
      settle({ kind: 'failed', failure, message, unheard: false });
      outgoing.destroy();
    };
    const onAbort = (): void => breakOff('given-up', 'the simulator stopped');
    const deadline = setTimeout(() => breakOff('timeout', 'no reply in time'), Math.max(1, timeoutMs));
    signal.addEventListener('abort', onAbort, { once: true });

    let bytesBefore = 0;
    outgoing.on('socket', (socket) => {
      bytesBefore = socket.bytesRead;
    });
    outgoing.on('error', (error) => {
      const failure = failureOf(error);
      const unheard = failure === 'reset' && outgoing.reusedSocket && outgoing.socket?.bytesRead === bytesBefore;
      settle({ kind: 'failed', failure, message: messageOf(error), unheard });
    });
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      let sizeBytes = 0;
      response.on('data', (chunk: Buffer) => {
        sizeBytes += chunk.length;
        if (sizeBytes > maxReplyBytes) breakOff('malformed-reply', `a reply of more than ${maxReplyBytes} bytes`);
        chunks.push(chunk);
      });
      response.on('error', (error) =>
        settle({ kind: 'failed', failure: 'reset', message: messageOf(error), unheard: false }),
      );
      response.on('end', () =>
        settle({
          kind: 'replied',
          httpStatus: response.statusCode ?? 0,
          contentType: String(response.headers['content-type'] ?? ''),
          body: Buffer.concat(chunks),
        }),
      );
    });
    if (request.loseReply === true) {
      // Only once a reply has begun is it certain that the server worked on the request; then the reply is discarded.
      outgoing.removeAllListeners('response');
      outgoing.on('response', () => breakOff('given-up', 'the reply was lost on purpose'));
    }
    if (signal.aborted) onAbort();
    else outgoing.end(request.body);
  });
}

interface Failed {
  readonly kind: 'failed';
  readonly failure: FailureClass;
  readonly message: string;
  /** A reused connection ended before any part of an answer arrived. */
  readonly unheard: boolean;
}

function failureOf(error: Error & { code?: string }): FailureClass {
  switch (error.code) {
    case 'ECONNREFUSED':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return 'connect';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'reset';
    default:
      if (error.code?.startsWith('HPE_') === true) return 'malformed-reply';
      return error.code === undefined || /TLS|SSL|CERT|SIGNED|ISSUER/.test(error.code) ? 'tls' : 'reset';
  }
}

/** How a reply that is not a 200 counts. */
export function failureOfStatus(reply: DeviceReply): FailureClass | undefined {
  const { httpStatus } = reply;
  if (httpStatus === 200) return undefined;
  if (httpStatus === 401) return 'unenrolled';
  if (httpStatus === 403 && reply.body.includes('com.apple.unrecognized.device')) return 'unenrolled';
  if (httpStatus === 400) return 'identity';
  if (httpStatus === 503) return 'unavailable';
  return httpStatus >= 500 ? 'server-error' : 'refused';
}
