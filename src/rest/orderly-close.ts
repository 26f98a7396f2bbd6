/**
 * The end of an HTTP server: it accepts no new connections, closes idle ones, and answers what is under way, each answer
 * being its connection's last. A request that does not end is cut off after a while.
 *
 * Invariant: whoever was accepted is heard. A connection on which nothing was said yet is not idle: its request may be on the way.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** Fastify would refuse a request on a connection that it still has. */
export const orderlyClose = { return503OnClosing: false } as const;

/** Less than the time after which a supervisor kills. */
const underWayMs = 5000;

/** Has `close` of the server end it in order, whoever calls it; before it is answered by anybody. */
export function endInOrder(server: Server | SecureServer): void {
  const open = new Set<ServerResponse>();
  /** Connections that have been answered before, and may now be idle. */
  const heard = new Set<Socket>();
  let closing = false;
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    open.add(response);
    response.once('close', () => open.delete(response));
    if (!heard.has(socket)) socket.once('close', () => heard.delete(socket));
    heard.add(socket);
    if (closing) response.setHeader('connection', 'close');
  });
  server.close = (done) => {
    closing = true;
    for (const response of open) if (!response.headersSent) response.setHeader('connection', 'close');
    // Not the way of HTTP servers, which also cuts off who was accepted just now and has not been heard yet.
    NetServer.prototype.close.call(server, done);
    for (const socket of heard) if (!isAnswering(socket, open)) socket.end();
    return server;
  };
}

function isAnswering(socket: Socket, open: ReadonlySet<ServerResponse>): boolean {
  return [...open].some((response) => response.req.socket === socket);
}

/** @param graceMs how long a request under way may still take */
export async function closeInOrder(app: FastifyInstance, graceMs = underWayMs): Promise<void> {
  await within(app.server, graceMs, async () => await app.close());
}

/** The same for a server without Fastify. */
export async function closeServerInOrder(server: Server | SecureServer, graceMs = underWayMs): Promise<void> {
  if (!server.listening) return;
  await within(server, graceMs, async () => await new Promise<void>((resolve) => server.close(() => resolve())));
}

async function within(
  server: Pick<Server, 'closeAllConnections'>,
  graceMs: number,
  close: () => Promise<void>,
): Promise<void> {
  const late = setTimeout(() => server.closeAllConnections(), graceMs);
  try {
    await close();
  } finally {
    clearTimeout(late);
  }
}
