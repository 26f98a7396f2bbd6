/** Devices: listed, shown with their options and inventory. */
import type { FastifyPluginAsync } from 'fastify';
import { getAccount } from '../../../accounts/accounts.ts';
import { deviceOperations } from '../../../api/devices.ts';
import { accountNameOf } from '../../../base/account-name.ts';
import { notFound } from '../../../base/not-found.ts';
import { type DeviceFilter, findDevice, listDevices } from '../../../devices/device-list.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';

export function deviceRoutes(context: AdministrationContext): FastifyPluginAsync {
  async function devicePage(filter: DeviceFilter) {
    const rows = await listDevices(context.db, { ...filter, limit: filter.limit + 1 });
    const devices = rows.slice(0, filter.limit);
    return { devices, next: rows.length > filter.limit ? (devices.at(-1)?.id ?? null) : null };
  }

  return async (app) => {
    serve(app, deviceOperations.list, async (request) => {
      const { account: named, ...filter } = request.query;
      if (named === undefined) return await devicePage(filter);
      const account = await getAccount(context.db, accountNameOf(named));
      if (account === undefined) throw notFound('account', named);
      return await devicePage({ ...filter, account: account.name });
    });

    serve(app, deviceOperations.listOfAccount, async (request) => {
      const account = await getAccount(context.db, accountNameOf(request.params.name));
      if (account === undefined) throw notFound('account', request.params.name);
      return await devicePage({ account: account.name, limit: 1000 });
    });

    serve(app, deviceOperations.show, async (request) => {
      const device = await findDevice(context.db, request.params.id);
      if (device === undefined) throw notFound('device', request.params.id);
      return device;
    });
  };
}
