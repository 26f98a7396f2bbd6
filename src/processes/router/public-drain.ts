/**
 * How the public port empties when its router ends: every device may make one more request on its connection, and that
 * answer is the connection's last.
 *
 *   HTTP/1.1: idle → one more request → answered with `Connection: close`
 *   HTTP/2:   idle → one more stream → GOAWAY that names it as the last → answered
 *
 * A device that is silent for longer than devices usually pause is disconnected. A request sent at that very moment
 * gets no answer, and the device has to send it again (RFC 9112 §9.3.1, RFC 9113 §6.8). Node has no GOAWAY that leaves
 * the last stream open (nghttp2's shutdown notice), so an idle session gets no warning.
 *
 * Connections that are waiting for TLS when the drain begins, or are in it, are served as well, at the rate of
 * `handshakesPerSecond`: by default 4,500 connections within the limit of 9 s, after which the rest are cut.
 *
 * Invariant: until the limit, no connection is ended on which a request is under way or, over HTTP/1.1, has begun to come in.
 *
 * @see RFC 9112 §9.6 (tear-down), RFC 9113 §6.8 (GOAWAY)
 */
import type { Http2SecureServer, ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../base/clock.ts';
import type { ConnectionWatch } from './connection-watch.ts';
import { lingerMs } from './reply.ts';

export interface DrainTimes {
  /** How long devices usually pause between two requests on the same connection. */
  pauseMs: number;
  /** What is left then is cut. */
  graceMs: number;
  /** Called before it is. */
  onLimit?: () => void;
}

export interface PublicDrain {
  /** From the start of the drain, each answer ends its connection. */
  readonly begun: boolean;
  /** Resolves when no connection is left. The server must be closed before. */
  drain(times: DrainTimes): Promise<void>;
}

/** To be set up after `watchConnections`, and before the server listens. */
export function createPublicDrain(server: Http2SecureServer, watch: ConnectionWatch, clock: Clock): PublicDrain {
  const connections = new Set<Socket>();
  const secured = new Set<TLSSocket>();
  const sessions = new Set<ServerHttp2Session>();
  let begun = false;
  let onEmpty: () => void = () => undefined;

  server.on('connection', (socket: Socket) => {
    if (socket.destroyed) return;
    connections.add(socket);
    socket.once('close', () => {
      connections.delete(socket);
      if (connections.size === 0) onEmpty();
    });
  });
  server.on('secureConnection', (socket) => {
    secured.add(socket);
    socket.once('close', () => secured.delete(socket));
  });
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.on('stream', () => {
      if (begun) session.close();
    });
  });

  /**
   * Ends what is idle. Data that has already arrived is read first: the machine may be slow.
   * @param handshaking those whose TLS had begun before the drain did: it has had all the time that a device needs
   */
  async function letGo(handshaking: ReadonlySet<Socket>): Promise<void> {
    await nextTurn();
    for (const session of sessions) session.close();
    for (const socket of secured) {
      if (socket.alpnProtocol === 'h2' || watch.of(socket)?.idle === false) continue;
      socket.end();
      setTimeout(() => socket.destroy(), lingerMs).unref();
    }
    const afterTls = new Set([...secured].map((socket) => watch.of(socket)));
    for (const socket of handshaking) if (!afterTls.has(watch.of(socket))) socket.destroy();
  }

  return {
    get begun() {
      return begun;
    },
    drain: async ({ pauseMs, graceMs, onLimit }) => {
      begun = true;
      const empty = new Promise<void>((resolve) => {
        onEmpty = resolve;
        if (connections.size === 0) resolve();
      });
      const handshaking = new Set([...connections].filter((socket) => watch.of(socket)?.turnCame));
      const over = new AbortController();
      const after = (durationMs: number, act: () => void) =>
        clock.sleep(durationMs, over.signal).then(act, () => undefined);
      for (const session of sessions) if (watch.of(session.socket)?.idle === false) session.close();
      const ending = [
        after(Math.min(pauseMs, graceMs), () => void letGo(handshaking)),
        after(graceMs, () => {
          onLimit?.();
          for (const socket of connections) socket.destroy();
        }),
      ];
      await empty;
      over.abort();
      await Promise.all(ending);
    },
  };
}
