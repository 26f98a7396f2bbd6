/**
 * Who asks, by a bearer token or by a session's cookie. The database holds SHA-256 digests only. Invariant: no body is read,
 * and no route runs, before either has been verified; from outside, a wrong token, a revoked one and one that has ended are
 * indistinguishable.
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { allRights } from '../api/rights.ts';
import { noteKnown } from '../base/console-origin.ts';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';
import type { Actor } from './actor.ts';
import { tokenDigest } from './administrator-tokens.ts';
import { actorOfApiToken } from './api-tokens.ts';
import { guard } from './guard.ts';
import { defaultRates, limitRates } from './rate-limits.ts';
import { actorOfCookie, type SignInDesk } from './sign-in/desk.ts';

interface TokenRow {
  id: string;
  name: string;
  digest: Buffer;
}

const everything = new Set(allRights);

/** Requires a valid token, or a session's cookie, on every route not marked `withoutToken`, and the right that its operation takes. */
export function authenticate(app: FastifyInstance, q: Queryable, desk: SignInDesk, rates = defaultRates): void {
  const limits = limitRates(rates, desk);
  app.decorateRequest('administrator', '');
  app.decorateRequest('actor', null);
  app.decorate('guard', guard);
  const hasRoles = expandedSchema(q);
  app.addHook('onRequest', async (request) => {
    const { withoutToken, isOpen } = request.routeOptions.config;
    if (isOpen === true) limits.countOpen(request);
    if (request.is404 || withoutToken === true) return;
    limits.countUnknown(request);
    request.actor = await identify(request).catch((error: unknown) => {
      const isOver = isBrambleError(error, 'ERR_TOKEN_INVALID') || isBrambleError(error, 'ERR_SESSION_ENDED');
      if (isOver) limits.forget(request);
      throw error;
    });
    request.administrator = request.actor.name;
    limits.countAdministrator(request);
    noteKnown(request.raw);
  });

  async function identify(request: FastifyRequest): Promise<Actor> {
    // Who sends a token does not mean a cookie that happens to be there.
    const session = request.headers.authorization === undefined ? await actorOfCookie(desk, request) : undefined;
    return session ?? (await actorOfToken(q, bearerToken(request), hasRoles));
  }
}

/** Whether the schema knows roles: a coordinator begins on that of the release before. Asked until it does. */
function expandedSchema(q: Queryable): () => Promise<boolean> {
  let expanded = false;
  return async () => {
    expanded ||= await hasTable(q, 'api_token');
    return expanded;
  };
}

/** @throws BrambleError ERR_TOKEN_INVALID */
async function actorOfToken(q: Queryable, token: string, hasRoles: () => Promise<boolean>): Promise<Actor> {
  const digest = tokenDigest(token);
  const actor =
    (await actorOfLegacyToken(q, digest)) ?? ((await hasRoles()) ? await actorOfApiToken(q, digest) : undefined);
  if (actor !== undefined) return actor;
  throw new BrambleError(
    'ERR_TOKEN_INVALID',
    'The token is unknown, was revoked, or has ended. Use another one, or ask an administrator to create one: ' +
      '`bramble token create`.',
  );
}

/** The digest finds the row (unique index); the comparison that decides is constant-time. */
async function actorOfLegacyToken(q: Queryable, digest: Buffer): Promise<Actor | undefined> {
  const [row] = await q<TokenRow[]>`
    select id, name, digest from administrator_token where digest = ${digest} and revoked_at is null`;
  if (row === undefined || !timingSafeEqual(row.digest, digest)) return undefined;
  const { id, name } = row;
  return {
    kind: 'legacy-token',
    id,
    name,
    rights: everything,
    groups: null,
    session: null,
    provenAt: null,
    owes: null,
  };
}

function bearerToken(request: FastifyRequest): string {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ', 2);
  if (scheme?.toLowerCase() !== 'bearer' || token === undefined || token === '') {
    throw new BrambleError(
      'ERR_TOKEN_MISSING',
      'The request carries no token. Send `Authorization: Bearer <token>` (BRAMBLE_TOKEN for `bramble`), or ' +
        'sign in.',
    );
  }
  return token;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The actor's name, as the audit has it; empty on routes that answer anybody. */
    administrator: string;
  }
  interface FastifyContextConfig {
    /** A route that answers without a token. */
    withoutToken?: boolean;
    /** Of these, one that costs something: an address has only so many. */
    isOpen?: boolean;
    /** Whose body nothing is kept of. */
    takesPassword?: boolean;
  }
}
