/**
 * The TLS server of the public port, not yet listening, with Node's and nghttp2's own limits set for devices.
 *
 * Invariant: its `close` only stops listening; connections and sessions are ended by `public-drain.ts` alone.
 */
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import { Server as TlsServer } from 'node:tls';
import type { PublicLimits } from './public-limits.ts';

export function createPublicServer(options: {
  certificatePem: string;
  privateKeyPem: string;
  /** From the first byte of a request to its answer. */
  deadlineMs: number;
  limits: PublicLimits;
}): Http2SecureServer {
  const { limits } = options;
  const server = createSecureServer({
    cert: options.certificatePem,
    key: options.privateKeyPem,
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    handshakeTimeout: 20_000,
    noDelay: true,
    maxSessionMemory: 64,
    settings: { enablePush: false, maxConcurrentStreams: 256, initialWindowSize: 256 * 1024 },
    // nghttp2 counts before a turn of JavaScript is spent; see also `watchFrames`.
    maxSessionInvalidFrames: 100,
    streamResetBurst: limits.controlFrames,
    streamResetRate: limits.controlFramesPerSecond,
  });
  // Node keeps the settings of HTTP/1.1 on the server; longer than a device pauses between two commands.
  const requestTimeout = options.deadlineMs + 5000;
  Object.assign(server, { keepAliveTimeout: 65_000, headersTimeout: 20_000, requestTimeout });
  // Node's own refusal of a request without Host has no body, and one of HTTP/1.0 needs none: see `hostRefusal`.
  Object.assign(server, { requireHostHeader: false });
  // Node's close() would also cut keep-alive connections on which a request is just arriving, and end every HTTP/2 session;
  // here it only stops listening, and draining ends them in good order.
  Object.assign(server, { close: TlsServer.prototype.close });
  return server;
}
