/** Signing in at OpenID providers: not at the coordinator, which reaches the network only for what an upgrade takes. */
import type { FastifyPluginAsync } from 'fastify';
import type { ProviderClient } from '../../../access/openid/provider-client.ts';
import { beginOpenid, finishOpenid } from '../../../access/openid/sign-in.ts';
import { assertUsable } from '../../../access/routes/sign-in.ts';
import type { SignInDesk } from '../../../access/sign-in/desk.ts';
import { openidOperations } from '../../../api/openid.ts';
import { serve } from '../../../rest/serve.ts';

export function openidSignInRoutes(desk: SignInDesk, client: ProviderClient): FastifyPluginAsync {
  return async (app) => {
    serve(app, openidOperations.begin, async (request, reply) => {
      await assertUsable(desk, request);
      return { url: await beginOpenid(desk, client, request, reply, request.body) };
    });

    serve(app, openidOperations.finish, async (request, reply) => {
      await assertUsable(desk, request);
      return { returnTo: await finishOpenid(desk, client, request, reply, request.body.url) };
    });
  };
}
