/**
 * The author of the change being written, kept for the duration of a request: the one function through which routes write
 * records it, so no route can forget to. For administration service and coordinator alike.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { BrambleError } from '../base/errors.ts';
import type { Transaction } from '../database/connection.ts';
import { type Operation, recorded } from './audit/record.ts';

/** Text of arbitrary length from a request is truncated to this. */
const maxText = 200;

const asking = new AsyncLocalStorage<Operation>();

/** Call it after authentication is set up. */
export function auditRequests(app: FastifyInstance, by: { component: string; host: string }): void {
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));
  // After the body was read: reading it leaves the hooks before in another context.
  app.addHook('preHandler', (request, _reply, done) => asking.run(operationOf(request, by), done));
}

/**
 * Runs `work` in the transaction, recorded as the operation of the current request.
 * @throws BrambleError ERR_INTERNAL outside of a request: nothing is written without an author.
 */
export async function recordedRequest<Result>(
  tx: Transaction,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  const operation = asking.getStore();
  if (operation === undefined) throw new BrambleError('ERR_INTERNAL', 'A change was attempted outside of a request.');
  return await recorded(tx, operation, work);
}

function operationOf(request: FastifyRequest, by: { component: string; host: string }): Operation {
  const { method, ip, id, params, headers, administrator, routeOptions } = request;
  return {
    actor: administrator,
    operation: `${method} ${(routeOptions.url ?? '').replace(/^\/api\/v\d+/, '')}`,
    subjects: Object.values((params ?? {}) as Record<string, string>).map((value) => value.slice(0, maxText)),
    requestId: id,
    from: { address: ip, client: (headers['user-agent'] ?? '').slice(0, maxText), ...by },
    when: 'wrote',
  };
}
