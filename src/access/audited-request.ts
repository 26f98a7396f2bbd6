/**
 * The author of the change being written, kept for the duration of a request: the one function through which routes write
 * records it, so no route can forget to. For administration service and coordinator alike.
 *
 * Invariant: whoever lost his access after he was let in writes nothing, however long his request was on its way.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { BrambleError } from '../base/errors.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import type { Actor } from './actor.ts';
import { type Operation, recorded } from './audit/record.ts';
import { type KeyedRequest, type KeyKeeper, keyedRequest, once } from './idempotency.ts';
import { assertStanding } from './standing.ts';

/** Text of arbitrary length from a request is truncated to this. */
const maxText = 200;

interface Asking {
  /** Null where the operation answers anybody. */
  readonly actor: Actor | null;
  readonly operation: Operation;
  /** Null where the request has no key, or nobody keeps it. */
  readonly keyed: { readonly request: KeyedRequest; readonly keeper: KeyKeeper } | null;
  /** Transactions so far. */
  steps: number;
}

const asking = new AsyncLocalStorage<Asking>();

/** What of an operation a route states itself. */
export type Stated = Partial<Omit<Operation, 'from'>> & { readonly from?: Partial<Operation['from']> };

/** Call it after authentication is set up. Without a keeper idempotency keys are left alone. */
export function auditRequests(
  app: FastifyInstance,
  by: { component: string; host: string },
  keeper: KeyKeeper | null,
): void {
  app.addHook('onRequest', async (request, reply) => void reply.header('x-request-id', request.id));
  // After the body was read: reading it leaves the hooks before in another context.
  app.addHook('preHandler', (request, _reply, done) => asking.run(askingOf(request, by, keeper), done));
}

/**
 * Runs `work` in the transaction, recorded as the operation of the current request; with an idempotency key once, and
 * otherwise returns what it returned then.
 * @param as what of it the request itself does not say, such as who it was found to be of
 * @throws BrambleError ERR_INTERNAL outside of a request: nothing is written without an author; as for `assertStillAllowed`
 */
export async function recordedRequest<Result>(
  tx: Transaction,
  work: (tx: Transaction) => Promise<Result>,
  as: Stated = {},
): Promise<Result> {
  const request = currentRequest();
  const { operation } = request;
  await assertStillAllowed(tx);
  const identity = as.actor === undefined ? identityOf(request.actor) : {};
  const stated = { ...operation, ...as, from: { ...operation.from, ...identity, ...as.from } };
  const change = async () => await recorded(tx, stated, work);
  request.steps += 1;
  const { keyed, steps } = request;
  return keyed === null ? await change() : await once(tx, keyed.keeper, keyed.request, steps, change);
}

/**
 * Asked before each transaction; by what takes long, within it again.
 * @throws BrambleError ERR_TOKEN_INVALID, ERR_SESSION_ENDED, ERR_CONFLICT
 */
export async function assertStillAllowed(q: Queryable): Promise<void> {
  const { actor } = currentRequest();
  if (actor !== null) await assertStanding(q, actor);
}

function currentRequest(): Asking {
  const request = asking.getStore();
  if (request !== undefined) return request;
  throw new BrambleError('ERR_INTERNAL', 'A change was attempted outside of a request.');
}

function askingOf(request: FastifyRequest, by: { component: string; host: string }, keeper: KeyKeeper | null): Asking {
  const operation = operationOf(request, by);
  const keyed = keeper === null ? null : keyedRequest(request, operation.operation);
  const { actor } = request;
  return { actor, operation, keyed: keyed === null || keeper === null ? null : { request: keyed, keeper }, steps: 0 };
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

function identityOf(actor: Actor | null): Pick<Operation['from'], 'actorKind' | 'actorId'> {
  return actor === null ? {} : { actorKind: actor.kind, actorId: actor.id };
}
