/**
 * Administrator tokens: created, listed and revoked. The token itself is returned once; the database keeps its digest.
 */
import type { FastifyPluginAsync } from 'fastify';
import { createToken, listTokens, revokeToken } from '../../../access/administrator-tokens.ts';
import { tokenOperations } from '../../../api/tokens.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import { recordEvent } from '../../../domain/events.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function tokenRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, tokenOperations.list, async () => ({ tokens: await listTokens(context.db) }));

    serve(app, tokenOperations.create, async (request) => {
      const token = await write(context, async (tx) => {
        const created = await createToken(tx, request.body.name);
        if (created === 'name-taken') {
          throw new BrambleError(
            'ERR_NAME_TAKEN',
            `A token named ${request.body.name} already exists or existed. Choose another name.`,
          );
        }
        await recordEvent(tx, {
          kind: 'token-created',
          subject: request.body.name,
          message: `${request.administrator} made the administrator token ${request.body.name}`,
        });
        return created;
      });
      return { name: request.body.name, token };
    });

    serve(app, tokenOperations.revoke, async (request) => {
      await write(context, async (tx) => {
        const outcome = await revokeToken(tx, request.params.name);
        if (outcome === 'not-found') throw notFound('token', request.params.name);
        if (outcome === 'last') {
          throw new BrambleError(
            'ERR_CONFLICT',
            'This is the last valid token: create another one before revoking it.',
          );
        }
        await recordEvent(tx, {
          kind: 'token-revoked',
          subject: request.params.name,
          message: `${request.administrator} revoked the administrator token ${request.params.name}`,
        });
      });
    });
  };
}
