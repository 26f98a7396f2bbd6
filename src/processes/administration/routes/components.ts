/** Components and features: what runs, what is absent, and what holds each feature back. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { BrambleError } from '../../../base/errors.ts';
import { readDomain } from '../../../domain/domain.ts';
import { recordEvent } from '../../../domain/events.ts';
import { forgetComponent, listComponents } from '../../../registry/components.ts';
import { featureStates } from '../../../registry/features.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { instant, jsonObject, name, nothing } from '../shapes.ts';

export const componentShape = z.object({
  name: z.string(),
  kind: z.string(),
  host: z.string(),
  processId: z.number(),
  release: z.string(),
  linkVersions: z.array(z.number()),
  features: z.array(z.string()),
  loopbackUrl: z.string().nullable(),
  alive: z.boolean(),
  startedAt: instant,
  leaseUntil: instant,
  stoppedAt: instant.nullable(),
  detail: jsonObject,
});

export const featureShape = z.object({
  name: z.string(),
  summary: z.string(),
  active: z.boolean(),
  lockedBy: z.array(z.string()),
});

export function componentRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/components',
      schema: {
        tags: ['domain'],
        summary: 'Every registered component, absent ones included',
        response: { 200: z.object({ components: z.array(componentShape) }) },
      },
      handler: async () => ({ components: (await listComponents(context.db)).map(componentView) }),
    });

    app.route({
      method: 'DELETE',
      url: '/components/:name',
      schema: {
        tags: ['domain'],
        summary: 'Forget a component that is gone for good',
        params: z.object({ name }),
        response: { 204: nothing },
      },
      handler: async (request, reply) => {
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
        return await reply.status(204).send(null);
      },
    });

    app.route({
      method: 'GET',
      url: '/features',
      schema: {
        tags: ['domain'],
        summary: 'Features, and which components hold each one back',
        response: { 200: z.object({ featureLevel: z.string(), features: z.array(featureShape) }) },
      },
      handler: async () => {
        const [{ featureLevel }, components] = await Promise.all([readDomain(context.db), listComponents(context.db)]);
        return { featureLevel, features: featureStates(context.features, featureLevel, components) };
      },
    });
  };
}

/** A component with lists that may be serialised. */
export function componentView<Row extends { linkVersions: readonly number[]; features: readonly string[] }>(row: Row) {
  return { ...row, linkVersions: [...row.linkVersions], features: [...row.features] };
}
