/** Administrator tokens: made, listed and revoked. The token itself is answered once; the database keeps its digest. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { createToken, listTokens, revokeToken } from '../../../access/administrator-tokens.ts';
import { typedName } from '../../../api/typed-text.ts';
import { BrambleError } from '../../../base/errors.ts';
import { recordEvent } from '../../../domain/events.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { instant, name, nothing } from '../shapes.ts';

const tags = ['tokens'];

export function tokenRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/tokens',
      schema: {
        tags,
        summary: 'List administrator tokens, revoked ones included',
        response: {
          200: z.object({
            tokens: z.array(z.object({ name: z.string(), createdAt: instant, revokedAt: instant.nullable() })),
          }),
        },
      },
      handler: async () => ({ tokens: await listTokens(context.db) }),
    });

    app.route({
      method: 'POST',
      url: '/tokens',
      schema: {
        tags,
        summary: 'Create an administrator token; it is shown once',
        body: z.object({ name: typedName }),
        response: { 201: z.object({ name: z.string(), token: z.string() }) },
      },
      handler: async (request, reply) => {
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
        return await reply.status(201).send({ name: request.body.name, token });
      },
    });

    app.route({
      method: 'DELETE',
      url: '/tokens/:name',
      schema: {
        tags,
        summary: 'Revoke an administrator token',
        params: z.object({ name }),
        response: { 204: nothing },
      },
      handler: async (request, reply) => {
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
        return await reply.status(204).send(null);
      },
    });
  };
}
