/**
 * Operations that a REST server does not have. Invariant: what is not there is answered so whatever is sent to it: before a
 * token is asked for and before anything of the request is read or judged.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { BrambleError } from '../base/errors.ts';

/** Call it before the hooks that judge requests are added. */
export function answerUnknownPaths(app: FastifyInstance, answer: (request: FastifyRequest) => BrambleError): void {
  // A handler of its own would come after hooks and parsers, which know the bodies of routes only.
  app.addHook('onRequest', async (request) => {
    if (request.is404) throw answer(request);
  });
}
