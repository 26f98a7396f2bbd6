/** Devices, their command queues, and what an administrator sends to them by hand. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { accountNameOf } from '../../base/account-name.ts';
import { BrambleError } from '../../base/errors.ts';
import type { CommandId, DeviceId } from '../../base/ids.ts';
import { cancelCommand, listCommands, queueCommand } from '../../devices/command-queue.ts';
import { getAccount } from '../../directory/accounts.ts';
import { announceDeliveries, oweDeliveries } from '../../policy/delivery/owe-deliveries.ts';
import { notFound } from '../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { type DeviceFilter, findDevice, listDevices } from '../device-list.ts';
import { buildOperatorCommand, operatorCommand } from '../operator-command.ts';
import { instant, jsonObject, name, nothing } from '../shapes.ts';

const text = z.string().nullable();
const deviceShape = z.object({
  id: z.string(),
  account: z.string(),
  instance: z.string(),
  platform: z.string(),
  state: z.string(),
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
  createdAt: instant,
  pendingCommands: z.number(),
  openDeliveries: z.number(),
});
const commandShape = z.object({
  commandUuid: z.string(),
  requestType: z.string(),
  state: z.string(),
  urgent: z.boolean(),
  deliveryId: text,
  queuedAt: instant,
  sentAt: instant.nullable(),
  sentCount: z.number(),
  answeredAt: instant.nullable(),
  answer: jsonObject.nullable(),
});
const devicesShape = z.object({ devices: z.array(deviceShape), next: z.string().nullable() });
const state = z.enum(['offered', 'certified', 'authenticated', 'active', 'gone']);
const params = z.object({ id: z.uuid() });
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
          after: z.uuid().optional().describe('The `next` of the page before.'),
          limit: z.coerce.number().int().min(1).max(1000).default(200),
        }),
        response: { 200: devicesShape },
      },
      handler: async (request) => await devicePage(request.query),
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
        params,
        response: { 200: deviceShape.extend({ options: jsonObject, inventory: jsonObject }) },
      },
      handler: async (request) => {
        const device = await findDevice(context.db, request.params.id);
        if (device === undefined) throw notFound('device', request.params.id);
        return device;
      },
    });

    app.route({
      method: 'POST',
      url: '/devices/:id/commands',
      schema: {
        tags,
        summary: 'Queue a command; a lock jumps the queue',
        params,
        body: operatorCommand,
        response: { 201: z.object({ commandUuid: z.string() }) },
      },
      handler: async (request, reply) => {
        const command = buildOperatorCommand(request.body);
        const deviceId = request.params.id as DeviceId;
        const outcome = await write(context, (tx) => queueCommand(tx, { ...command, deviceId }));
        if (outcome === 'not-found') throw notFound('device', deviceId);
        if (outcome === 'not-active') throw notActive(deviceId);
        return await reply.status(201).send({ commandUuid: command.commandId });
      },
    });

    app.route({
      method: 'GET',
      url: '/devices/:id/commands',
      schema: {
        tags,
        summary: 'The newest commands of a device, with their answers',
        params,
        querystring: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) }),
        response: { 200: z.object({ commands: z.array(commandShape) }) },
      },
      handler: async (request) => {
        const deviceId = request.params.id as DeviceId;
        if ((await findDevice(context.db, deviceId)) === undefined) throw notFound('device', deviceId);
        const commands = await listCommands(context.db, deviceId, request.query.limit);
        return {
          commands: commands.map(({ commandId, answer, ...command }) => ({
            ...command,
            commandUuid: commandId,
            answer: answer === null ? null : (answer as Record<string, unknown>),
          })),
        };
      },
    });

    app.route({
      method: 'DELETE',
      url: '/commands/:id',
      schema: { tags, summary: 'Cancel a command that was not handed out yet', params, response: { 204: nothing } },
      handler: async (request, reply) => {
        const outcome = await write(context, (tx) => cancelCommand(tx, request.params.id as CommandId));
        if (outcome === 'not-found') throw notFound('command', request.params.id);
        if (outcome === 'cancelled') return await reply.status(204).send(null);
        throw new BrambleError(
          'ERR_STATE',
          outcome === 'handed-out'
            ? 'The command was handed out to the device already and cannot be taken back.'
            : 'The command carries a delivery: change what is delivered instead.',
        );
      },
    });

    app.route({
      method: 'POST',
      url: '/devices/:id/resend',
      schema: {
        tags,
        summary: 'Send the IT policy, the service books or a synchronization again; not held back by the budget',
        params,
        body: z.object({ item: z.enum(['it-policy', 'service-books', 'synchronization']) }),
        response: { 200: z.object({ deliveriesOwed: z.number() }) },
      },
      handler: async (request) => {
        const { id } = request.params;
        const device = await findDevice(context.db, id);
        if (device === undefined) throw notFound('device', id);
        if (device.state !== 'active') throw notActive(id);
        return await write(context, async (tx) => {
          const owed = await oweDeliveries(tx, {
            deviceIds: [id],
            cause: 'manual',
            budgeted: false,
            items: [request.body.item],
          });
          await announceDeliveries(tx);
          if (owed.length > 0) return { deliveriesOwed: owed.length };
          throw new BrambleError('ERR_STATE', `The device's software is too old for ${request.body.item}.`);
        });
      },
    });
  };
}

function notActive(id: string): BrambleError {
  return new BrambleError('ERR_STATE', `The device ${id} is not under management now, so nothing can be sent to it.`);
}
