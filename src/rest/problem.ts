/**
 * Failures as problem details (RFC 9457), on either side of the release fence: `type` is `urn:bramble:` and the stable code.
 * Invariant: `code`, `message` and `details` stay members, as clients of 1.1 to 1.4 read these and nothing else.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type * as z from 'zod';
import { type problem, problemMediaType } from '../api/shapes.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { apiHeaders } from './console-headers.ts';
import { errorAnswer } from './http-errors.ts';

type Problem = z.output<typeof problem>;

/** After which who found too much at once may come again, where nobody knows better. */
const busySeconds = 5;

/** The answer for whatever was thrown while the request of this identifier was handled. */
export function problemOf(error: unknown, requestId: string): Problem {
  const { status, code, message, details } = errorAnswer(error);
  return {
    type: `urn:bramble:${code}`,
    title: titleOf(code),
    status,
    detail: message,
    instance: `urn:uuid:${requestId}`,
    code,
    message,
    details,
  };
}

/** `ERR_NAME_TAKEN` → `Name taken`: the same whenever the code is the same, as the RFC wants it. */
function titleOf(code: string): string {
  const words = code.replace(/^ERR_/, '').toLowerCase().replaceAll('_', ' ');
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}`;
}

/** Answers what routes and hooks throw; what is the service's own fault is reported, its text nowhere else. */
export function answerProblems(app: FastifyInstance, log: { error(fields: object, message: string): void }): void {
  app.setErrorHandler((error, request, reply) => {
    const body = problemOf(error, request.id);
    if (body.status >= 500) {
      log.error({ error: messageOf(error), method: request.method, path: request.url }, 'request failed');
    }
    if (body.status === 401) reply.header('www-authenticate', 'Bearer');
    return sendProblem(reply, body);
  });
}

function sendProblem(reply: FastifyReply, body: Problem): FastifyReply {
  const { retryAfterSeconds = body.status === 429 ? busySeconds : undefined } = body.details;
  if (typeof retryAfterSeconds === 'number') reply.header('retry-after', retryAfterSeconds);
  return reply.headers(apiHeaders).status(body.status).type(problemMediaType).send(body);
}

/** Options of every REST server: failures before a route is found, such as an undecodable path, get the same form. */
export const answersBeforeRoutes = {
  routerOptions: { maxParamLength: 400 },
  frameworkErrors: (error: FastifyError, request: unknown, reply: unknown): void => {
    // The route's types would name its statuses; there is no route yet.
    void sendProblem(reply as FastifyReply, problemOf(error, (request as FastifyRequest).id));
  },
  clientErrorHandler: (error: NodeJS.ErrnoException, socket: Socket): void => {
    if (error.code !== 'ECONNRESET' && socket.writable) socket.write(unreadRequestAnswer(error));
    socket.destroy(error);
  },
};

/** To bytes that are no request that could be read. */
function unreadRequestAnswer({ code }: NodeJS.ErrnoException): string {
  const body = problemOf(unreadRequestError(code), crypto.randomUUID());
  const text = JSON.stringify(body);
  return [
    `HTTP/1.1 ${body.status} ${STATUS_CODES[body.status]}`,
    `Content-Type: ${problemMediaType}; charset=utf-8`,
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
    ...Object.entries(apiHeaders).map(([name, value]) => `${name}: ${value}`),
    '',
    text,
  ].join('\r\n');
}

function unreadRequestError(code: string | undefined): BrambleError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new BrambleError('ERR_HEADERS_TOO_LARGE', 'The headers of the request are too large.');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new BrambleError('ERR_BODY_TIMEOUT', 'The request did not arrive in time; nothing was changed.');
  return new BrambleError('ERR_BAD_REQUEST', 'This is not a valid HTTP request.');
}
