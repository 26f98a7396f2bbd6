/** The domain as a whole: status and events. */
import type { FastifyPluginAsync } from 'fastify';
import { domainOperations } from '../../../api/domain.ts';
import { listEvents } from '../../../domain/events.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';
import { readStatus } from '../status-report.ts';

export function domainRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, domainOperations.status, async () => await readStatus(context));

    serve(app, domainOperations.listEvents, async (request) => ({
      events: await listEvents(context.db, request.query.limit),
    }));
  };
}
