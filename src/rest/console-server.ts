/**
 * The console's origin: the page and its files, and the REST API beside them under `/api/`.
 *
 * Invariant: a page is given only to who asks for it by one of the own names, and every answer, also of the API, carries the
 * headers that keep a browser from doing anything else with it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https';
import { type ConsoleOrigin, isOwnName, markArrival } from '../base/console-origin.ts';
import { hasBody } from './body-deadline.ts';
import { shareConnections } from './connection-shares.ts';
import { type ConsoleFiles, consoleFiles } from './console-files.ts';
import { commonHeaders, inertHeaders, pageAnswer } from './console-headers.ts';
import { answerOneAtATime } from './one-at-a-time.ts';
import { closeServerInOrder, endInOrder } from './orderly-close.ts';

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

/** Fewer than would exhaust the process; of one address, more than the browsers of an office behind one have. */
const connections = { all: 512, each: 256 };
const limits = {
  headersTimeout: 15_000,
  // How often the server looks for headers that are late.
  connectionsCheckingInterval: 5000,
  // None for whole requests: the API has its own for bodies, and imports are long.
  requestTimeout: 0,
  keepAliveTimeout: 75_000,
};
/** In which a page or a file has to be taken. */
const takingMs = 60_000;
const tls = { minVersion: 'TLSv1.2', handshakeTimeout: 10_000 } as const;

/** It does not listen yet. */
export function createConsoleServer(options: ConsoleServerOptions): ConsoleServer {
  const { certificate = null } = options;
  const origin: ConsoleOrigin = { scheme: certificate === null ? 'http' : 'https', names: options.names };
  const files = consoleFiles(options.folders);
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    setHeaders(response, { ...commonHeaders(origin.scheme), 'bramble-served-by': options.servedBy });
    // Nobody reads it, so it may take as long as a stranger likes.
    if (hasBody(request) && isRead(request)) response.setHeader('connection', 'close');
    if (!isOfApi(request)) return void answerPage(request, response, files, origin);
    setHeaders(response, inertHeaders);
    markArrival(request, { origin, onKnown: () => shares.keep(request.socket) });
    options.app.routing(request, response);
  };
  const secure = certificate && createSecureServer({ ...limits, ...tls, ...certificate }, answer);
  const server = secure ?? createServer(limits, answer);
  endInOrder(server);
  answerOneAtATime(server);
  const shares = shareConnections(server, connections);
  return {
    server,
    scheme: origin.scheme,
    renew: (renewed) => secure?.setSecureContext({ ...tls, ...renewed }),
    close: async (graceMs) => await closeServerInOrder(server, graceMs),
  };
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
  response.setTimeout(takingMs);
  if (!isRead(request)) return refuse(response, 405, 'Only GET and HEAD are answered here.');
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

function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

function refuse(response: ServerResponse, status: number, text: string): void {
  setHeaders(response, inertHeaders);
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.end(`${text}\n`);
}

function setHeaders(response: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}
