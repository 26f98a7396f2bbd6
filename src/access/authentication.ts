/**
 * Bearer tokens. The database holds SHA-256 digests only. Invariant: no body is read, and no route runs, before the
 * token has been verified; from outside, a wrong token and a revoked one are indistinguishable.
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { tokenDigest } from './administrator-tokens.ts';

interface TokenRow {
  name: string;
  digest: Buffer;
}

/** Requires a valid token on every route not marked `withoutToken`. */
export function requireToken(app: FastifyInstance, q: Queryable): void {
  app.decorateRequest('administrator', '');
  app.addHook('onRequest', async (request) => {
    if (request.is404 || request.routeOptions.config.withoutToken === true) return;
    request.administrator = await administratorOf(q, bearerToken(request));
  });
}

/**
 * Name of the administrator token. The digest finds the row (unique index); the comparison that decides is constant-time.
 * @throws BrambleError ERR_TOKEN_INVALID
 */
async function administratorOf(q: Queryable, token: string): Promise<string> {
  const digest = tokenDigest(token);
  const [row] = await q<TokenRow[]>`
    select name, digest from administrator_token where digest = ${digest} and revoked_at is null`;
  if (row === undefined || !timingSafeEqual(row.digest, digest)) {
    throw new BrambleError(
      'ERR_TOKEN_INVALID',
      'The token is unknown or was revoked. Use another one, or ask an administrator to create one: `bramble token ' +
        'create`.',
    );
  }
  return row.name;
}

function bearerToken(request: FastifyRequest): string {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ', 2);
  if (scheme?.toLowerCase() !== 'bearer' || token === undefined || token === '') {
    throw new BrambleError(
      'ERR_TOKEN_MISSING',
      'The request carries no token. Send `Authorization: Bearer <token>` (BRAMBLE_TOKEN for `bramble`).',
    );
  }
  return token;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the token that the request was made with; empty on routes without one. */
    administrator: string;
  }
  interface FastifyContextConfig {
    /** A route that answers without a token. */
    withoutToken?: boolean;
  }
}
