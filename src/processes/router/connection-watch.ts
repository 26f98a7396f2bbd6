/**
 * The life of connections at the public port: who they are, how long they may be silent, and what they may cost without
 * making a request.
 *
 *   accepted → (a balancer's header) → (a turn) → TLS → (first request whole, within 30 s) → busy ⇄ idle → gone
 *
 * Invariant: pings, settings, and requests that never end keep no connection alive.
 */

import { constants, type ServerHttp2Session } from 'node:http2';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { takeBalancerHeader } from './balancer-header.ts';
import { HandshakeTurns } from './handshake-turns.ts';
import type { LimitReport } from './limit-report.ts';
import type { PublicConnections } from './public-connections.ts';
import type { PublicLimits } from './public-limits.ts';
import { type Watched, WatchedConnection } from './watched-connection.ts';

export interface ConnectionWatch {
  /** Undefined once the connection is gone. */
  of(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): Watched | undefined;
}

interface Balancers {
  /** Whether its connections begin with a header; those of others never do. */
  include(address: string): boolean;
  /** One of its connections was closed: it began otherwise. */
  onRefused(balancer: string, reason: string): void;
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
  balancers: Balancers,
): ConnectionWatch {
  const watched = new Map<string, WatchedConnection>();
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
    const entry = new WatchedConnection(socket, connections, limits, report);
    // If all others are proven, there is no room for the newcomer.
    if (socket.destroyed) return;
    watched.set(key, entry);
    entry.awaitRequest();
    // TLS has its own listener once it begins.
    socket.on('error', () => undefined);
    let leaveTurn: (() => void) | undefined;
    const awaitTurn = () => {
      if (socket.destroyed) return;
      const { address } = entry.connection;
      leaveTurn = turns.enter(address, () => {
        entry.takeTurn();
        for (const begin of beginTls) Reflect.apply(begin, server, [socket]);
      });
      if (looking === undefined) look();
      if (!entry.turnCame) report.count('handshakes', address);
    };
    const balancer = socket.remoteAddress ?? '';
    if (balancers.include(balancer)) {
      const onRead = (source: string | null) => {
        if (source !== null) entry.belongsTo(source);
        awaitTurn();
      };
      takeBalancerHeader(socket, onRead, (reason) => {
        balancers.onRefused(balancer, reason);
        entry.cut('balancer-header');
      });
    } else {
      awaitTurn();
    }
    socket.once('close', () => {
      leaveTurn?.();
      if (watched.get(key) === entry) watched.delete(key);
      entry.leave();
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
