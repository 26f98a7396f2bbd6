/** The domain as a whole: its status. */
import type { FastifyPluginAsync } from 'fastify';
import { domainOperations } from '../../../api/domain.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';
import { readStatus } from '../status-report.ts';

export function domainRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, domainOperations.status, async () => await readStatus(context));
  };
}
