/**
 * What every REST server of the domain has in common, on either side of the release fence. Invariant: whatever is asked,
 * also before a route is found, the answer has the one form of errors, an identifier of its own, and an end.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { abilitiesHeader } from '../api/client.ts';
import type { BrambleError } from '../base/errors.ts';
import { type BodyPatience, defaultBodyPatience, limitBodyTime } from './body-deadline.ts';
import { apiHeaders } from './console-headers.ts';
import { answerUnchanged } from './etag.ts';
import { answerOneAtATime } from './one-at-a-time.ts';
import { endInOrder, orderlyClose } from './orderly-close.ts';
import { answerProblems, answersBeforeRoutes } from './problem.ts';
import { takeStrictInput } from './strict-input.ts';
import { answerUnknownPaths } from './unknown-paths.ts';
import { negotiateVersion } from './versions.ts';

interface RestServerOptions {
  readonly maxBodyBytes: number;
  /** The answer for operations that the server does not have. */
  readonly unknownPath: (request: FastifyRequest) => BrambleError;
  /** For bodies that never arrive. */
  readonly bodyPatience?: BodyPatience;
  readonly log: { error(fields: object, message: string): void };
  readonly release: string;
  /** What the service does that releases before 1.5 did not; in every answer. */
  readonly abilities?: readonly string[];
}

/** Fresh for each request; answered as `X-Request-Id`, so that a change can be found by it. */
const requestIds = { genReqId: () => randomUUID(), requestIdHeader: false } as const;

/** Without routes and authentication; it does not listen yet. */
export function createRestServer(options: RestServerOptions): FastifyInstance {
  const app = fastify({
    ...requestIds,
    ...answersBeforeRoutes,
    ...orderlyClose,
    bodyLimit: options.maxBodyBytes,
    logger: false,
  });
  endInOrder(app.server);
  answerOneAtATime(app.server);
  app.addHook('onRequest', async (_request, reply) => void reply.headers(apiHeaders));
  answerProblems(app, options.log);
  const { abilities = [] } = options;
  if (abilities.length > 0)
    app.addHook('onRequest', async (_request, reply) => void reply.header(abilitiesHeader, abilities.join(', ')));
  negotiateVersion(app, options.release);
  answerUnknownPaths(app, options.unknownPath);
  takeStrictInput(app);
  answerUnchanged(app);
  limitBodyTime(app, options.bodyPatience ?? defaultBodyPatience);
  app.setSerializerCompiler(serializerCompiler);
  return app;
}

/** /healthz, /readyz and /metrics: without a token, and not among the documented operations. */
export function answerHealthPaths(
  app: FastifyInstance,
  health: (request: IncomingMessage, response: ServerResponse) => unknown,
): void {
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    app.get(path, { config: { withoutToken: true }, schema: { hide: true } }, (request, reply) => {
      for (const [name, value] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value ?? '');
      reply.hijack();
      health(request.raw, reply.raw);
    });
  }
}
