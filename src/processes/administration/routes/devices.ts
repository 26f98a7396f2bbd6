/** Devices: listed, shown with their options and inventory. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { deviceOperations } from '../../../api/devices.ts';
import { notFound } from '../../../base/not-found.ts';
import { findDevice, listDevices } from '../../../devices/device-list.ts';
import { serve } from '../../../rest/serve.ts';
import { conditionsOf } from '../account-conditions.ts';
import type { AdministrationContext } from '../context.ts';

export function deviceRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, deviceOperations.list, async (request) => {
      const { account, instance, group, ...filter } = request.query;
      const accounts = await conditionsOf(context.db, actorOf(request), { account, instance, group });
      return await listDevices(context.db, { ...filter, accounts });
    });

    serve(app, deviceOperations.listOfAccount, async (request) => {
      const accounts = await conditionsOf(context.db, actorOf(request), { account: request.params.name });
      return await listDevices(context.db, { ...request.query, accounts });
    });

    serve(app, deviceOperations.show, async (request) => {
      const device = await findDevice(context.db, request.params.id);
      if (device === undefined) throw notFound('device', request.params.id);
      return device;
    });
  };
}
