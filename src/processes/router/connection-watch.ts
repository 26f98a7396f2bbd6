/**
 * The life of connections at the public port: who they are, how long they may be silent, and what they may cost without
 * making a request.
 *
 *   accepted → (a turn) → TLS → (first request whole, within 30 s) → busy ⇄ idle → gone
 *
 * Invariant: pings, settings, and requests that never end keep no connection alive.
 */

import { constants, type ServerHttp2Session } from 'node:http2';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { addressGroup } from '../../base/address-group.ts';
import { clientCertificateOf, type Sender } from './forwarded-headers.ts';
import { HandshakeTurns } from './handshake-turns.ts';
import type { LimitReport } from './limit-report.ts';
import type { LimitReason, PublicConnection, PublicConnections, RequestPlace } from './public-connections.ts';
import type { PublicLimits } from './public-limits.ts';

export interface Watched {
  readonly connection: PublicConnection;
  /** Whether it no longer waits for its turn for TLS. */
  readonly turnCame: boolean;
  /**
   * No request is under way, no tunnel stands, and over HTTP/1.1 none has begun to come in. HTTP/2 frames that begin no
   * stream (settings, credit) do not count as a request.
   */
  readonly idle: boolean;
  /** The identity according to TLS. */
  sender(socket: TLSSocket): Sender;
  /** A request arrived completely: its sender is not silent. */
  spoke(): void;
  /** A request begins, or is refused; `giveWay` ends it if its place is needed before its body has arrived. */
  begin(giveWay: () => void): RequestPlace | LimitReason;
  /** A tunnel is open until released; it may be silent for any length of time. */
  hold(): void;
  release(): void;
  cut(reason: LimitReason): void;
  /** Called after a long time without a request. */
  onIdle: () => void;
}

export interface ConnectionWatch {
  /** Undefined once the connection is gone. */
  of(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): Watched | undefined;
}

/** How often TLS turns are given out while any connection waits. */
const turnsMs = 10;

/**
 * Follows every connection of the server from the moment it is accepted, and starts TLS when its turn comes. Must be
 * set up before anything else listens to the server's connections: TLS itself does.
 */
export function watchConnections(
  server: Server,
  connections: PublicConnections,
  limits: PublicLimits,
  report: LimitReport,
): ConnectionWatch {
  const watched = new Map<string, Watched & { secure(tls: TLSSocket): void }>();
  const of: ConnectionWatch['of'] = (socket) => watched.get(keyOf(socket));
  const beginTls = server.listeners('connection');
  server.removeAllListeners('connection');
  const turns = new HandshakeTurns(limits.handshakesPerSecond, performance.now());
  let looking: NodeJS.Timeout | undefined;

  const look = () => {
    looking = undefined;
    turns.beginDue(performance.now());
    if (turns.addresses > 0) looking = setTimeout(look, turnsMs);
  };

  server.on('connection', (socket: Socket) => {
    const key = keyOf(socket);
    let spoken = false;
    let sender: Sender | undefined;
    let timer: NodeJS.Timeout | undefined;
    let held = 0;
    let turnCame = false;
    let secured: TLSSocket | undefined;
    /** Bytes received inside TLS when it last became idle; none before the first request. */
    let bytesWhenIdle = 0;
    const address = socket.remoteAddress ?? '';
    const cut = (reason: LimitReason) => {
      report.count(reason, addressGroup(address));
      socket.destroy();
    };
    const bytesInTls = () => secured?.bytesRead ?? 0;
    const connection = connections.enter(address, cut);
    // If all others are proven, there is no room for the newcomer.
    if (socket.destroyed) return;
    const entry: Watched & { secure(tls: TLSSocket): void } = {
      connection,
      get turnCame() {
        return turnCame;
      },
      get idle() {
        return held === 0 && (secured?.alpnProtocol === 'h2' || bytesInTls() === bytesWhenIdle);
      },
      secure: (tls) => {
        secured = tls;
      },
      sender: (tls) => {
        sender ??= {
          clientCertificate: clientCertificateOf(tls.getPeerX509Certificate()?.raw),
          remoteAddress: tls.remoteAddress ?? '',
        };
        return sender;
      },
      spoke: () => {
        spoken = true;
        clearTimeout(timer);
      },
      begin: (giveWay) => {
        const place = connections.beginRequest(connection, (reason) => {
          report.count(reason, connection.address);
          giveWay();
        });
        if (typeof place === 'string') {
          report.count(place, connection.address);
          return place;
        }
        entry.hold();
        const end = () => {
          place.end();
          entry.release();
        };
        return { whole: place.whole, end };
      },
      hold: () => {
        held += 1;
        if (spoken) clearTimeout(timer);
      },
      release: () => {
        held -= 1;
        bytesWhenIdle = bytesInTls();
        if (held === 0 && spoken && !socket.destroyed) timer = setTimeout(() => entry.onIdle(), limits.idleMs);
      },
      onIdle: () => void socket.destroy(),
      cut,
    };
    watched.set(key, entry);
    const awaitRequest = () => {
      clearTimeout(timer);
      timer = setTimeout(() => cut('no-request-in-time'), limits.firstRequestMs);
    };
    awaitRequest();
    const leaveTurn = turns.enter(connection.address, () => {
      turnCame = true;
      awaitRequest();
      for (const begin of beginTls) Reflect.apply(begin, server, [socket]);
    });
    // TLS has its own listener once it begins.
    socket.on('error', () => undefined);
    if (looking === undefined) look();
    if (!turnCame) report.count('handshakes', connection.address);
    socket.once('close', () => {
      leaveTurn();
      clearTimeout(timer);
      if (watched.get(key) === entry) watched.delete(key);
      connections.leave(connection);
    });
  });
  server.on('secureConnection', (tls: TLSSocket) => watched.get(keyOf(tls))?.secure(tls));
  return { of };
}

/**
 * Cuts a session that sends more resets, pings and settings than a device ever would. nghttp2 answers these by itself,
 * but each costs a turn of our event loop; and a reset frees a stream at once, while the request behind it is still
 * under way.
 * @see CVE-2023-44487 (rapid reset), CVE-2019-9512, CVE-2019-9515
 */
export function watchFrames(session: ServerHttp2Session, watched: Watched, limits: PublicLimits): void {
  let left = limits.controlFrames;
  let lastMs = performance.now();
  const pay = () => {
    const nowMs = performance.now();
    left = Math.min(limits.controlFrames, left + ((nowMs - lastMs) / 1000) * limits.controlFramesPerSecond) - 1;
    lastMs = nowMs;
    if (left < 0 && !session.destroyed) {
      watched.cut('control-frames');
      session.destroy();
    }
  };
  session.on('ping', pay);
  session.on('remoteSettings', pay);
  session.on('stream', (stream) => {
    stream.once('close', () => {
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) pay();
    });
  });
}

/** The two ends of a connection are unique as long as it lives. */
function keyOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress} ${remotePort}`;
}
