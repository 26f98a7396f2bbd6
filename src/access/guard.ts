/**
 * What a route takes. Invariant: who is not known gets 401, who lacks the right or a recent proof 403, all before a body is read
 * and before the database is asked for anything else.
 */
import type { FastifyRequest } from 'fastify';
import type { Operation } from '../api/operation.ts';
import { asksProof, purposeOf, type Right, rolesWith } from '../api/rights.ts';
import { BrambleError } from '../base/errors.ts';
import { type Actor, actorOf } from './actor.ts';
import { assertProven } from './sign-in/proof.ts';

export function guard(operation: Operation): (request: FastifyRequest) => Promise<void> {
  const { right, scope, withoutFactor } = operation;
  return async (request) => {
    if (right === 'open') return;
    const actor = actorOf(request);
    if (actor.owes !== null && withoutFactor !== 'always' && withoutFactor !== actor.owes) throw factorOwed(actor);
    if (right !== 'signed-in') assertRight(actor, right, scope !== undefined);
    if (asksProof(operation)) assertProven(actor);
  };
}

function factorOwed({ name, owes }: Actor): BrambleError {
  const how =
    owes === 'enrolment'
      ? 'Set up an authenticator or a passkey'
      : 'Show your passkey or authenticator, or sign in again at your provider';
  return new BrambleError('ERR_SECOND_FACTOR', `A second factor is asked of ${name}. ${how} first, in the console.`, {
    details: { owes },
  });
}

/** @throws BrambleError ERR_RIGHT_MISSING */
export function assertRight({ name, rights, groups }: Actor, right: Right, knowsGroups = true): void {
  if (rights.has(right) && (knowsGroups || groups === null)) return;
  const roles = rolesWith(right);
  throw new BrambleError(
    'ERR_RIGHT_MISSING',
    `This takes the right ${right} (to ${purposeOf(right)}), which ${name}${groups === null ? '' : ', limited to groups,'} ` +
      `does not have. Roles that have it: ${roles.join(', ')}.`,
    { details: { right, roles } },
  );
}
