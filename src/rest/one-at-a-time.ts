/**
 * Of a connection, one request is answered at a time. What is sent before it has its answer is not: the connection ends behind
 * that, and a client that needs to asks again on another one, as HTTP/1.1 has it (RFC 9112, 9.3.2). Otherwise a single
 * connection could have as many under way as fit into its buffers.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** Call it before others listen to the server's requests who are to see those that are answered only. */
export function answerOneAtATime(server: Server | SecureServer): void {
  const underWay = new WeakMap<Socket, ServerResponse>();
  const ending = new WeakSet<Socket>();
  const listeners = server.listeners('request') as Listener[];
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const first = underWay.get(socket);
    if (first !== undefined) {
      if (!ending.has(socket)) endBehind(first, socket);
      ending.add(socket);
      return;
    }
    underWay.set(socket, response);
    response.once('close', () => underWay.delete(socket));
    for (const listener of listeners) listener.call(server, request, response);
  });
}

function endBehind(first: ServerResponse, socket: Socket): void {
  socket.pause();
  if (!first.headersSent) first.setHeader('connection', 'close');
  if (first.writableFinished) socket.destroySoon();
  else first.once('finish', () => socket.destroySoon());
}
