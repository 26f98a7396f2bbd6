/** The services that devices get service books for. A change queues service books for every account. */
import type { FastifyPluginAsync } from 'fastify';
import { everyAccount } from '../../../accounts/account-selection.ts';
import { serviceOperations } from '../../../api/services.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Transaction } from '../../../database/connection.ts';
import { announceDeliveries, oweDeliveries } from '../../../deliveries/owe-deliveries.ts';
import type { Platforms } from '../../../platforms/port.ts';
import { refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { deleteService, listServices, putService } from '../../../services/service-store.ts';
import { isServiceType, type ServiceType, serviceTypes } from '../../../services/services.ts';
import { type AdministrationContext, write } from '../context.ts';

export function serviceRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, serviceOperations.list, async () => ({
      services: (await listServices(context.db)).map(({ settings, ...service }) => ({
        ...service,
        settings: settings as Record<string, unknown>,
      })),
    }));

    serve(
      app,
      serviceOperations.set,
      async (request) =>
        await write(context, async (tx) => {
          const type = serviceTypeOf(request.params.type);
          await refuseStale(tx, request, { table: 'service', key: type });
          await putService(tx, type, request.body.settings);
          return { deliveriesOwed: await oweServiceBooks(tx, context.platforms) };
        }),
    );

    serve(
      app,
      serviceOperations.delete,
      async (request) =>
        await write(context, async (tx) => {
          const type = serviceTypeOf(request.params.type);
          await refuseStale(tx, request, { table: 'service', key: type });
          const outcome = await deleteService(tx, type);
          if (outcome === 'not-found') throw notFound('service', request.params.type);
          return { deliveriesOwed: await oweServiceBooks(tx, context.platforms) };
        }),
    );
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

async function oweServiceBooks(tx: Transaction, platforms: Platforms): Promise<number> {
  const owed = await oweDeliveries(tx, platforms, {
    accountIds: await everyAccount(tx),
    cause: 'service-change',
    budgeted: true,
    items: ['service-books'],
  });
  await announceDeliveries(tx);
  return owed.length;
}
