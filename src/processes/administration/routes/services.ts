/** The services that devices get service books for. A change owes service books to every account. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { everyAccount } from '../../../accounts/account-selection.ts';
import { BrambleError } from '../../../base/errors.ts';
import type { Transaction } from '../../../database/connection.ts';
import { announceDeliveries, oweDeliveries } from '../../../deliveries/owe-deliveries.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { deleteService, listServices, putService } from '../../../services/service-store.ts';
import { isServiceType, type ServiceType, serviceTypes } from '../../../services/services.ts';
import { type AdministrationContext, write } from '../context.ts';
import { jsonObject } from '../shapes.ts';

const params = z.object({
  type: z
    .string()
    .max(20)
    .describe(`One of ${serviceTypes.join(', ')}; the brackets may be omitted.`),
});
const owedShape = z.object({ deliveriesOwed: z.number() });
const tags = ['services'];

export function serviceRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/services',
      schema: {
        tags,
        summary: 'The services that devices have, with their settings',
        response: { 200: z.object({ services: z.array(z.object({ type: z.string(), settings: jsonObject })) }) },
      },
      handler: async () => ({
        services: (await listServices(context.db)).map(({ type, settings }) => ({
          type,
          settings: settings as Record<string, unknown>,
        })),
      }),
    });

    app.route({
      method: 'PUT',
      url: '/services/:type',
      schema: {
        tags,
        summary: 'Set up a service; new service books are sent to every device',
        params,
        body: z.object({ settings: jsonObject }),
        response: { 200: owedShape },
      },
      handler: async (request) =>
        await write(context, async (tx) => {
          await putService(tx, serviceTypeOf(request.params.type), request.body.settings);
          return { deliveriesOwed: await oweServiceBooks(tx) };
        }),
    });

    app.route({
      method: 'DELETE',
      url: '/services/:type',
      schema: {
        tags,
        summary: 'Remove a service; new service books are sent to every device',
        params,
        response: { 200: owedShape },
      },
      handler: async (request) =>
        await write(context, async (tx) => {
          const outcome = await deleteService(tx, serviceTypeOf(request.params.type));
          if (outcome === 'not-found') throw notFound('service', request.params.type);
          return { deliveriesOwed: await oweServiceBooks(tx) };
        }),
    });
  };
}

/** @throws BrambleError ERR_INPUT */
function serviceTypeOf(text: string): ServiceType {
  const type = text.startsWith('[') ? text.toUpperCase() : `[${text.toUpperCase()}]`;
  if (isServiceType(type)) return type;
  throw new BrambleError(
    'ERR_INPUT',
    `There is no service type ${text}: use one of ${serviceTypes.map((known) => known.slice(1, -1)).join(', ')}.`,
    {
      details: { field: 'params.type' },
    },
  );
}

async function oweServiceBooks(tx: Transaction): Promise<number> {
  const owed = await oweDeliveries(tx, {
    accountIds: await everyAccount(tx),
    cause: 'service-change',
    budgeted: true,
    items: ['service-books'],
  });
  await announceDeliveries(tx);
  return owed.length;
}
