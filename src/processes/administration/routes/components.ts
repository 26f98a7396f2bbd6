/** Components and features: what runs, what is absent, and what holds each feature back. */
import type { FastifyPluginAsync } from 'fastify';
import { componentOperations } from '../../../api/components.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import { readDomain } from '../../../domain/domain.ts';
import { recordEvent } from '../../../domain/events.ts';
import { forgetComponent, listComponents } from '../../../registry/components.ts';
import { featureStates } from '../../../registry/features.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function componentRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, componentOperations.list, async () => ({ components: await listComponents(context.db) }));

    serve(app, componentOperations.forget, async (request) => {
      await write(context, async (tx) => {
        const outcome = await forgetComponent(tx, request.params.name);
        if (outcome === 'not-found') throw notFound('component', request.params.name);
        if (outcome === 'alive') {
          throw new BrambleError(
            'ERR_COMPONENT_ALIVE',
            `The component ${request.params.name} is running. Stop it first, and wait until its lease has expired.`,
          );
        }
        await recordEvent(tx, {
          kind: 'component-forgotten',
          subject: request.params.name,
          message: `${request.administrator} had the component ${request.params.name} forgotten`,
        });
      });
    });

    serve(app, componentOperations.listFeatures, async () => {
      const [{ featureLevel }, components] = await Promise.all([readDomain(context.db), listComponents(context.db)]);
      return { featureLevel, features: featureStates(context.features, featureLevel, components) };
    });
  };
}
