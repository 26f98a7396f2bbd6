/** Routers: listed, added, removed. */
import type { FastifyPluginAsync } from 'fastify';
import { routerOperations } from '../../../api/routers.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { addRouter, removeRouter, viewRouters } from '../router-placement.ts';

export function routerRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, routerOperations.list, async () => await viewRouters(context));

    serve(app, routerOperations.add, async (request) => {
      return await write(context, (tx) => addRouter(context, tx, request.body, request.administrator));
    });

    serve(app, routerOperations.remove, async (request) => {
      await write(context, (tx) => removeRouter(context, tx, request.params.name, request.administrator));
    });
  };
}
