/**
 * Tunnels at the connection service: an HTTP/2 CONNECT that came over the link becomes a TCP connection to an internal
 * host. The end of one direction is passed on and leaves the other open; a break ends both.
 *
 * Invariant: no connection is opened before the device is authorised by its certificate and the host is allowed, and
 * each tunnel is counted from its opening until both of its ends are gone.
 *
 * @see RFC 9113 §8.5 (CONNECT), RFC 9440 (Client-Cert)
 */
import { createHash } from 'node:crypto';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { type ErrorCode, messageOf } from '../base/errors.ts';
import { type AllowedHosts, tunnelTargetOf } from '../directory/allowed-hosts.ts';
import { breakOff, carryOneWay } from '../link/one-way.ts';

export type TunnelAuthorization = 'allowed' | 'unknown-device' | 'not-served';

export interface TunnelOptions {
  /** @param fingerprint SHA-256 of the device's DER certificate, lower-case hex. */
  authorize: (fingerprint: string) => Promise<TunnelAuthorization>;
  /** Asked for each tunnel, so that a changed list counts at once. */
  allowed: () => AllowedHosts;
  /** A tunnel without a byte in either direction is closed after this. Default 600000. */
  idleTimeoutMs?: number;
  /** For connecting to the internal host. Default 10000. */
  connectTimeoutMs?: number;
  /** A tunnel was refused or broke. */
  onRefused?: (code: ErrorCode, reason: string) => void;
}

export interface Tunnels {
  /** For the link's `tunnel` handler. */
  handle(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void;
  /** Tunnels that stand now. */
  readonly open: number;
  /** Tunnels that ever stood. */
  readonly opened: number;
  /** Refuses new tunnels (503), waits until the open ones ended, and cuts those left after `graceMs`. */
  drain(graceMs: number): Promise<void>;
}

interface Refusal {
  status: number;
  code: ErrorCode;
  reason: string;
}

export function createTunnels(options: TunnelOptions): Tunnels {
  const open = new Map<ServerHttp2Stream, Socket>();
  let opened = 0;
  let draining = false;

  async function start(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<Refusal | null> {
    if (draining) return { status: 503, code: 'ERR_TUNNEL_DRAINING', reason: 'this connection service is ending' };
    const fingerprint = fingerprintOf(headers['client-cert']);
    if (fingerprint === null) return { status: 400, code: 'ERR_TUNNEL_CERTIFICATE', reason: 'no device certificate' };
    const target = tunnelTargetOf(String(headers[':authority'] ?? ''));
    if (target === null) return { status: 400, code: 'ERR_TUNNEL_TARGET', reason: 'the target is not host:port' };
    const authorization = await options.authorize(fingerprint);
    if (authorization === 'unknown-device') {
      return { status: 400, code: 'ERR_UNKNOWN_DEVICE', reason: 'no device of the domain has this certificate' };
    }
    if (authorization === 'not-served') {
      return {
        status: 403,
        code: 'ERR_TUNNEL_NOT_SERVED',
        reason: 'this connection service does not serve the device',
      };
    }
    if (!options.allowed()(target)) {
      return {
        status: 403,
        code: 'ERR_TUNNEL_HOST_NOT_ALLOWED',
        reason: `${target.host}:${target.port} is not allowed`,
      };
    }
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const failure = await connected(socket, stream, options.connectTimeoutMs ?? 10_000);
    if (failure !== null) {
      socket.destroy();
      return { status: 502, code: 'ERR_TUNNEL_UPSTREAM', reason: failure };
    }
    join(stream, socket);
    return null;
  }

  function join(stream: ServerHttp2Stream, socket: Socket): void {
    open.set(stream, socket);
    opened += 1;
    stream.respond({ ':status': 200 });
    socket.setTimeout(options.idleTimeoutMs ?? 600_000, () => {
      options.onRefused?.('ERR_TUNNEL_IDLE', 'no byte in either direction');
      breakOff(stream, 'no byte in either direction');
      socket.destroy();
    });
    carryOneWay(stream, socket);
    carryOneWay(socket, stream);
    socket.on('error', (error) => {
      options.onRefused?.('ERR_TUNNEL_UPSTREAM', messageOf(error));
      breakOff(stream, messageOf(error));
    });
    let ends = 2;
    const ended = () => {
      ends -= 1;
      if (ends === 0) open.delete(stream);
    };
    socket.once('close', ended);
    stream.once('close', () => {
      // An orderly end has already passed END_STREAM on; anything else must not look like one at the host.
      if (stream.rstCode === constants.NGHTTP2_NO_ERROR) socket.destroySoon();
      // A socket that is shutting down cannot be reset any more; trying leaks its handle.
      else if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
      ended();
    });
  }

  return {
    handle: (stream, headers) => {
      stream.on('error', (error) => options.onRefused?.('ERR_TUNNEL_BROKEN', messageOf(error)));
      start(stream, headers).then(
        (refusal) => {
          if (refusal) refuse(stream, refusal, options);
        },
        (error) => refuse(stream, { status: 503, code: 'ERR_TUNNEL_UNDECIDED', reason: messageOf(error) }, options),
      );
    },
    get open() {
      return open.size;
    },
    get opened() {
      return opened;
    },
    drain: async (graceMs) => {
      draining = true;
      const cut = setTimeout(() => {
        for (const [stream, socket] of open) {
          breakOff(stream, 'the connection service ends');
          socket.destroy();
        }
      }, graceMs);
      await Promise.all([...open.values()].map((socket) => closed(socket)));
      clearTimeout(cut);
    },
  };
}

/** Lower-case hex SHA-256 of the certificate in a `Client-Cert` header; null when there is none. */
export function fingerprintOf(header: string | string[] | undefined): string | null {
  const base64 = typeof header === 'string' ? /^:([A-Za-z0-9+/]+={0,2}):$/.exec(header)?.[1] : undefined;
  return base64 === undefined ? null : createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex');
}

/** Null when the connection stands, otherwise why not. */
function connected(socket: Socket, stream: ServerHttp2Stream, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => settle('no connection in time'), timeoutMs);
    const onClose = () => settle('the device went away');
    const settle = (failure: string | null) => {
      clearTimeout(timer);
      stream.off('close', onClose);
      resolve(failure);
    };
    socket.once('connect', () => settle(null));
    socket.on('error', (error) => settle(messageOf(error)));
    stream.once('close', onClose);
    if (stream.destroyed) onClose();
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
  });
}

function refuse(stream: ServerHttp2Stream, refusal: Refusal, options: TunnelOptions): void {
  options.onRefused?.(refusal.code, refusal.reason);
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({
    ':status': refusal.status,
    'content-type': 'application/json',
    'bramble-code': refusal.code,
  });
  stream.end(JSON.stringify({ code: refusal.code, message: refusal.reason }));
}
