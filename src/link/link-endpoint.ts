/**
 * The dialler's end of the link: an HTTP/2 server on a socket that the dialler itself opened. Control requests are
 * answered here, devices' requests go to an ordinary HTTP handler, CONNECT goes to the tunnel handler.
 *
 * Invariant: the client-certificate header is trusted on this server alone, because only the router, whose certificate
 * was verified, can reach it.
 */
import { createHash } from 'node:crypto';
import {
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import {
  type Accepted,
  acceptedShape,
  controlPrefix,
  type Hello,
  linkPaths,
  maxBodyBytes,
  type OutcomeReport,
  outcomeReportShape,
  type Refused,
  type RouteAnswer,
  type RouteEnvelope,
  type RouteQuestion,
  type RouterRegistration,
  refusedShape,
  routeQuestionShape,
  routerRegistrationShape,
} from './messages.ts';
import { linkSessionOptions } from './session-options.ts';
import { parseJson, parseMessage } from './signed-envelope.ts';
import type { ControlMessage } from './trusted-authorities.ts';

/** How the component behind the link handles what the router sends. Omitted handlers answer 404. */
export interface LinkHandlers {
  /** A device's request, with the router's `client-cert` and `bramble-remote-address` headers. */
  request?: (request: Http2ServerRequest, response: Http2ServerResponse) => void;
  /** A device's CONNECT; the handler answers on the stream. */
  tunnel?: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
  /** Looks up the owners; one answer for every question, in any order. */
  routes?: {
    answer: (question: RouteQuestion) => Promise<readonly RouteAnswer[]>;
    /** As `signRoutes` does. */
    sign: (value: unknown) => RouteEnvelope;
  };
  /** Push statements about authorities and signed revocation lists, beginning with those in force, until the signal is aborted. */
  control?: (push: (message: ControlMessage) => void, signal: AbortSignal) => void;
  /**
   * Every two seconds from every router: register it in the database.
   * @param routerKey SHA-256 of the public key (SPKI, DER) that the router proved in TLS, hex.
   */
  router?: (registration: RouterRegistration, routerKey: string) => Promise<void>;
  /**
   * From a router of link version 2: counts request outcomes. The router gets its acknowledgement when this resolves.
   */
  outcomes?: (report: OutcomeReport, routerKey: string) => Promise<void>;
}

export interface LinkNotices {
  accepted: (session: Http2Session | undefined, accepted: Accepted) => void;
  refused: (session: Http2Session | undefined, refused: Refused) => void;
  draining: (session: Http2Session | undefined) => void;
  /** A handler failed; the router got a 500. */
  failed: (error: unknown) => void;
}

/**
 * Sockets are passed to it with `server.emit('connection', socket)`.
 * @param closing once aborted, control streams end; nothing else ends them, and a session closes only when its streams have ended
 */
export function createLinkEndpoint(
  hello: () => Hello,
  handlers: LinkHandlers,
  notices: LinkNotices,
  closing?: AbortSignal,
): Http2Server {
  const server = createServer(linkSessionOptions);
  server.on('request', (request, response) => {
    if (request.url.startsWith(controlPrefix)) {
      void answerControl(request, response, { hello, handlers, notices, closing });
    } else if (handlers.request) {
      handlers.request(request, response);
    } else {
      reply(response, 404, { code: 'ERR_NOT_FOUND' });
    }
  });
  server.on('connect', (request: Http2ServerRequest) => {
    const stream = request.stream as ServerHttp2Stream;
    if (handlers.tunnel) handlers.tunnel(stream, request.headers);
    else stream.respond({ ':status': 404 }, { endStream: true });
  });
  return server;
}

interface ControlDesk {
  readonly hello: () => Hello;
  readonly handlers: LinkHandlers;
  readonly notices: LinkNotices;
  readonly closing: AbortSignal | undefined;
}

async function answerControl(
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  { hello, handlers, notices, closing }: ControlDesk,
): Promise<void> {
  try {
    switch (`${request.method} ${request.url}`) {
      case `GET ${linkPaths.hello}`:
        return reply(response, 200, hello());
      case `POST ${linkPaths.accepted}`:
        notices.accepted(request.stream.session, parseMessage(acceptedShape, await readJson(request)));
        return reply(response, 200, {});
      case `POST ${linkPaths.refused}`:
        notices.refused(request.stream.session, parseMessage(refusedShape, await readJson(request)) as Refused);
        return reply(response, 200, {});
      case `POST ${linkPaths.draining}`:
        notices.draining(request.stream.session);
        return reply(response, 200, {});
      case `POST ${linkPaths.route}`: {
        if (!handlers.routes) break;
        const question = parseMessage(routeQuestionShape, await readJson(request));
        const answers = await handlers.routes.answer(question);
        return reply(
          response,
          200,
          handlers.routes.sign({ nonce: question.nonce, answers, issuedAt: new Date().toISOString() }),
        );
      }
      case `GET ${linkPaths.control}`:
        if (!handlers.control) break;
        return streamControl(response, handlers.control, closing);
      case `POST ${linkPaths.router}`:
        if (!handlers.router) break;
        await handlers.router(
          parseMessage(routerRegistrationShape, await readJson(request)),
          keyOf(request.stream.session),
        );
        return reply(response, 200, {});
      case `POST ${linkPaths.outcomes}`:
        if (!handlers.outcomes) break;
        await handlers.outcomes(
          parseMessage(outcomeReportShape, await readJson(request)),
          keyOf(request.stream.session),
        );
        return reply(response, 200, {});
    }
    reply(response, 404, { code: 'ERR_NOT_FOUND' });
  } catch (error) {
    notices.failed(error);
    reply(response, 500, { code: isBrambleError(error) ? error.code : 'ERR_INTERNAL' });
  }
}

function keyOf(session: Http2Session | undefined): string {
  const certificate = (session?.socket as TLSSocket | undefined)?.getPeerX509Certificate();
  if (!certificate)
    throw new BrambleError('ERR_LINK_MESSAGE', 'Only a router, connected by TLS, can register a router.');
  return createHash('sha256')
    .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

function streamControl(
  response: Http2ServerResponse,
  control: NonNullable<LinkHandlers['control']>,
  closing: AbortSignal | undefined,
): void {
  const ending = new AbortController();
  const end = () => void response.stream.end();
  response.stream.once('close', () => {
    closing?.removeEventListener('abort', end);
    ending.abort('the link was closed');
  });
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.stream.write('\n');
  control((message) => {
    if (response.stream.writable) response.stream.write(`${JSON.stringify(message)}\n`);
  }, ending.signal);
  if (closing?.aborted === true) end();
  else closing?.addEventListener('abort', end);
}

async function readJson(request: Http2ServerRequest): Promise<unknown> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBodyBytes) {
      throw new BrambleError('ERR_LINK_MESSAGE', `A control message is larger than ${maxBodyBytes} bytes.`);
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  return text === '' ? {} : parseJson(text);
}

function reply(response: Http2ServerResponse, status: number, body: unknown): void {
  if (response.headersSent || response.stream?.destroyed !== false) return;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
