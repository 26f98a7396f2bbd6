/** Search over accounts and devices. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { searchOperations } from '../../../api/search.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';
import { search } from '../search.ts';

export function searchRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, searchOperations.search, async (request) => {
      const { rights, groups: within } = actorOf(request);
      const seen = { accounts: rights.has('accounts.read'), devices: rights.has('devices.read'), within };
      return await search(context.db, request.query, seen);
    });
  };
}
