/**
 * The console's origin: the page and its files, and the REST API beside them under `/api/`.
 *
 * Invariant: a page is given only to who asks for it by one of the own names, and every answer, also of the API, carries the
 * headers that keep a browser from doing anything else with it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { type ConsoleOrigin, isOwnName, markArrival } from '../base/console-origin.ts';
import { type ConsoleFiles, consoleFiles } from './console-files.ts';
import { commonHeaders, inertHeaders, pageAnswer } from './console-headers.ts';

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

interface ConsoleServerOptions {
  /** The REST server, which is ready. */
  app: { routing(request: IncomingMessage, response: ServerResponse): void };
  /** With the built files of the console, the own ones first. */
  folders: () => AsyncIterable<string>;
  names: readonly string[];
  /** In PEM; without it, HTTP is spoken. */
  certificate?: Certificate | null;
  /** Who answers, as each answer says: the page of a domain that is being upgraded shows it. */
  servedBy: 'administration' | 'coordinator' | 'signpost';
}

interface ConsoleServer {
  readonly server: Server | SecureServer;
  readonly scheme: 'http' | 'https';
  /** For connections from now on. */
  renew(certificate: Certificate): void;
  /** Accepts no more; answers under way end their connections, at the latest after the grace. */
  close(graceMs?: number): Promise<void>;
}

/** More than a browser has connections, fewer than a stranger would need to exhaust the process. */
const maxConnections = 512;
const headersTimeoutMs = 15_000;
const keepAliveMs = 75_000;
const underWayMs = 5000;
const tls = { minVersion: 'TLSv1.2', handshakeTimeout: 10_000 } as const;

/** It does not listen yet. */
export function createConsoleServer(options: ConsoleServerOptions): ConsoleServer {
  const { certificate = null } = options;
  const origin: ConsoleOrigin = { scheme: certificate === null ? 'http' : 'https', names: options.names };
  const files = consoleFiles(options.folders);
  const open = new Set<ServerResponse>();
  /** Connections that have been answered before, and may now be idle. */
  const heard = new Set<Socket>();
  let closing = false;
  // No limit for whole requests: the API has its own for bodies, and imports are long.
  const limits = { headersTimeout: headersTimeoutMs, requestTimeout: 0, keepAliveTimeout: keepAliveMs };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    open.add(response);
    response.once('close', () => open.delete(response));
    if (!heard.has(socket)) socket.once('close', () => heard.delete(socket));
    heard.add(socket);
    if (closing) response.setHeader('connection', 'close');
    setHeaders(response, { ...commonHeaders(origin.scheme), 'bramble-served-by': options.servedBy });
    if (!isOfApi(request)) return void answerPage(request, response, files, origin);
    setHeaders(response, inertHeaders);
    markArrival(request, origin);
    options.app.routing(request, response);
  };
  const secure = certificate && createSecureServer({ ...limits, ...tls, ...certificate }, answer);
  const server = secure ?? createServer(limits, answer);
  server.maxConnections = maxConnections;
  return {
    server,
    scheme: origin.scheme,
    renew: (renewed) => secure?.setSecureContext({ ...tls, ...renewed }),
    close: async (graceMs = underWayMs) => {
      closing = true;
      for (const response of open) if (!response.headersSent) response.setHeader('connection', 'close');
      const late = setTimeout(() => server.closeAllConnections(), graceMs);
      if (server.listening) {
        // Not the server's own way, which also cuts off who was accepted just now and has not been heard yet.
        const closed = new Promise((resolve) => NetServer.prototype.close.call(server, resolve));
        for (const socket of heard) if (!isAnswering(socket, open)) socket.end();
        await closed;
      }
      clearTimeout(late);
    },
  };
}

function isAnswering(socket: Socket, open: ReadonlySet<ServerResponse>): boolean {
  return [...open].some((response) => response.req.socket === socket);
}

/** By /healthz a program sees that this is a service of a domain. */
function isOfApi({ url = '' }: IncomingMessage): boolean {
  return /^\/(?:api|healthz)(?:[/?]|$)/.test(url);
}

async function answerPage(
  request: IncomingMessage,
  response: ServerResponse,
  files: ConsoleFiles,
  origin: ConsoleOrigin,
): Promise<void> {
  const { method, url = '/', headers } = request;
  if (method !== 'GET' && method !== 'HEAD') return refuse(response, 405, 'Only GET and HEAD are answered here.');
  if (!isOwnName(headers.host, origin)) {
    return refuse(response, 421, 'The console is not known by this name: add it to `console.names` in config.json.');
  }
  const [path = '/'] = url.split(/[?#]/, 1);
  const file = await files(path === '/' ? '/index.html' : path);
  if (file === null) return refuse(response, 404, 'There is no such file in any installed release.');
  if (file.type.startsWith('text/html')) {
    // Passkeys belong to a name, and an address is none.
    const named = headers.host?.replace(/^127\.0\.0\.1(?=:|$)/, 'localhost');
    if (origin.scheme === 'http' && named !== headers.host) {
      response.writeHead(307, {
        location: `http://${named}${url.startsWith('/') ? url : '/'}`,
        'cache-control': 'no-store',
      });
      return void response.end();
    }
    const page = pageAnswer(file.bytes.toString('utf8'));
    response.writeHead(200, { ...page.headers, 'content-type': file.type });
    return void response.end(page.html);
  }
  setHeaders(response, inertHeaders);
  response.writeHead(200, {
    'content-type': file.type,
    'content-length': file.bytes.length,
    'cache-control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
  });
  response.end(method === 'HEAD' ? undefined : file.bytes);
}

function refuse(response: ServerResponse, status: number, text: string): void {
  setHeaders(response, inertHeaders);
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.end(`${text}\n`);
}

function setHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}
