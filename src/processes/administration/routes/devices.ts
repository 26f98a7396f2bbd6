/** Devices: listed, shown with their options and inventory. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { getAccount } from '../../../accounts/accounts.ts';
import { accountNameOf } from '../../../base/account-name.ts';
import { deviceStates } from '../../../devices/state/device-states.ts';
import { notFound } from '../../../rest/http-errors.ts';
import type { AdministrationContext } from '../context.ts';
import { type DeviceFilter, findDevice, listDevices } from '../device-list.ts';
import { instant, jsonObject, name } from '../shapes.ts';

const text = z.string().nullable();
const deviceShape = z.object({
  id: z.string(),
  account: z.string(),
  instance: z.string(),
  platform: z.string(),
  state: z.string(),
  suspendedAt: instant.nullable(),
  suspendedBy: text,
  removingSince: instant.nullable(),
  tlsRequiredSince: instant.nullable(),
  repeatedMessages: z.number(),
  repeatedAt: instant.nullable(),
  udid: text,
  serialNumber: text,
  model: text,
  product: text,
  osVersion: text,
  softwareVersion: text,
  pushState: z.string(),
  appliedPolicyRevision: text,
  appliedBooksRevision: text,
  synchronizedAt: instant.nullable(),
  lastSeenAt: instant.nullable(),
  identityExpiresAt: instant.nullable(),
  identityRenewal: z
    .object({
      state: z.enum(['not-due', 'due', 'under-way', 'unused', 'failed']),
      attempts: z.number(),
      text: z.string(),
    })
    .nullable(),
  createdAt: instant,
  pendingCommands: z.number(),
  unansweredCommands: z.number(),
  mustEnrolAgain: z.boolean().describe('Its push topic is no longer the domain’s.'),
  openDeliveries: z.number(),
});
const devicesShape = z.object({ devices: z.array(deviceShape), next: z.string().nullable() });
const state = z.enum([...deviceStates.states, 'suspended', 'leaving']);
const tags = ['devices'];

export function deviceRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  async function devicePage(filter: DeviceFilter) {
    const rows = await listDevices(context.db, { ...filter, limit: filter.limit + 1 });
    const devices = rows.slice(0, filter.limit);
    return { devices, next: rows.length > filter.limit ? (devices.at(-1)?.id ?? null) : null };
  }

  return async (app) => {
    app.route({
      method: 'GET',
      url: '/devices',
      schema: {
        tags,
        summary: 'List devices',
        querystring: z.object({
          account: name.optional(),
          state: state.optional(),
          unanswered: z
            .stringbool()
            .default(false)
            .describe('Only devices that repeatedly received a command without answering.'),
          mustEnrolAgain: z
            .stringbool()
            .default(false)
            .describe('Only devices with a push topic that is no longer the domain’s.'),
          identityEndsWithinDays: z.coerce
            .number()
            .min(0)
            .max(10_000)
            .optional()
            .describe('Only active devices whose identity certificate expires within this many days, or has expired.'),
          after: z.uuid().optional().describe('The `next` value of the previous page.'),
          limit: z.coerce.number().int().min(1).max(1000).default(200),
        }),
        response: { 200: devicesShape },
      },
      handler: async (request) => {
        const { account: named, ...filter } = request.query;
        if (named === undefined) return await devicePage(filter);
        const account = await getAccount(context.db, accountNameOf(named));
        if (account === undefined) throw notFound('account', named);
        return await devicePage({ ...filter, account: account.name });
      },
    });

    app.route({
      method: 'GET',
      url: '/accounts/:name/devices',
      schema: {
        tags,
        summary: 'List the devices of an account',
        params: z.object({ name }),
        response: { 200: devicesShape },
      },
      handler: async (request) => {
        const account = await getAccount(context.db, accountNameOf(request.params.name));
        if (account === undefined) throw notFound('account', request.params.name);
        return await devicePage({ account: account.name, limit: 1000 });
      },
    });

    app.route({
      method: 'GET',
      url: '/devices/:id',
      schema: {
        tags,
        summary: 'Show a device with its options and inventory',
        params: z.object({ id: z.uuid() }),
        response: { 200: deviceShape.extend({ options: jsonObject, inventory: jsonObject }) },
      },
      handler: async (request) => {
        const device = await findDevice(context.db, request.params.id);
        if (device === undefined) throw notFound('device', request.params.id);
        return device;
      },
    });
  };
}
