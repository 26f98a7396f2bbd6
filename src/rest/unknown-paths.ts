/**
 * Operations that a REST server does not have. Invariant: the answer is the same whatever is sent: before a token is
 * asked for and before anything of the request is read or judged.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { BrambleError } from '../base/errors.ts';

/** Call it before the hooks that judge requests are added. */
export function answerUnknownPaths(app: FastifyInstance, answer: (request: FastifyRequest) => BrambleError): void {
  // A separate handler would run after hooks and parsers, which only know the bodies of routes.
  app.addHook('onRequest', async (request) => {
    if (request.is404) throw answer(request);
  });
}
