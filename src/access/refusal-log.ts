/** Who was refused what is in the log: whoever tries doors is seen there. What was sent is not. */
import type { FastifyInstance } from 'fastify';
import { isBrambleError } from '../base/errors.ts';

/** Not those that anybody meets: a session that has ended, a request without a token. */
const refusals: ReadonlySet<string> = new Set([
  'ERR_TOKEN_INVALID',
  'ERR_SIGN_IN',
  'ERR_SIGN_IN_LIMITED',
  'ERR_PASSKEY',
  'ERR_ONE_TIME_CODE',
  'ERR_RIGHT_MISSING',
  'ERR_SECOND_FACTOR',
  'ERR_ORIGIN',
  'ERR_RATE_LIMIT',
]);

export function logRefusals(app: FastifyInstance, log: { warn(fields: object, message: string): void }): void {
  app.addHook('onError', async (request, _reply, error) => {
    if (!isBrambleError(error) || !refusals.has(error.code)) return;
    const { administrator, method, ip: address, routeOptions, id: requestId } = request;
    const who = administrator === '' ? {} : { administrator };
    log.warn({ code: error.code, ...who, address, operation: `${method} ${routeOptions.url}`, requestId }, 'refused');
  });
}
