/** Who makes a request, however it was authenticated, and what he may do. */
import type { FastifyRequest } from 'fastify';
import type { Right } from '../api/rights.ts';
import { BrambleError } from '../base/errors.ts';
import type { OwedFactor } from './sign-in/second-factor-rule.ts';

export interface Actor {
  /** A legacy token is one of `administrator_token`: all-powerful and without end, as every token was before 1.5. */
  readonly kind: 'administrator' | 'token' | 'legacy-token';
  readonly id: string;
  readonly name: string;
  readonly rights: ReadonlySet<Right>;
  /** Ids of the groups that he is limited to; null if he is not limited, empty if there is nothing for him. */
  readonly groups: readonly string[] | null;
  readonly session: string | null;
  /** When he last proved who he is. */
  readonly provenAt: Date | null;
  /** While he owes a second factor he has no rights. */
  readonly owes: OwedFactor;
}

/** @throws BrambleError ERR_INTERNAL on a route that answers anybody. */
export function actorOf(request: Pick<FastifyRequest, 'actor'>): Actor {
  if (request.actor === null)
    throw new BrambleError('ERR_INTERNAL', 'A request without an administrator asked for him.');
  return request.actor;
}

/** An administrator who has signed in. @throws BrambleError ERR_CONFLICT for a token */
export function signedInActor(request: Pick<FastifyRequest, 'actor'>): Actor & { session: string } {
  const actor = actorOf(request);
  if (actor.session !== null) return { ...actor, session: actor.session };
  throw new BrambleError('ERR_CONFLICT', 'This is for administrators who have signed in; the request has a token.');
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null on routes that answer anybody. */
    actor: Actor | null;
  }
}
