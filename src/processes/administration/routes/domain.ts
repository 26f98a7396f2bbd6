/** The domain as a whole: its status. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { domainOperations } from '../../../api/domain.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';
import { readLimitedStatus } from '../limited-status.ts';
import { readStatus } from '../status-report.ts';

export function domainRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, domainOperations.status, async (request) => {
      const { groups } = actorOf(request);
      return groups === null ? await readStatus(context) : await readLimitedStatus(context, groups);
    });
  };
}
