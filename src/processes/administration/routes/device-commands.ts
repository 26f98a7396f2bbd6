/** What an administrator sends to a device by hand, and the device's command queue. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { BrambleError } from '../../../base/errors.ts';
import type { DeviceId } from '../../../base/ids.ts';
import { isCheckViolation } from '../../../database/sql-state.ts';
import { announceDeliveries, oweDeliveries } from '../../../deliveries/owe-deliveries.ts';
import { listCommands, queueCommand } from '../../../devices/command-queue.ts';
import { requireFeature } from '../../../registry/features.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { findDevice } from '../device-list.ts';
import { buildOperatorCommand, operatorCommand } from '../operator-command.ts';
import { instant, jsonObject } from '../shapes.ts';

const commandShape = z.object({
  commandUuid: z.string(),
  requestType: z.string(),
  state: z.string(),
  urgent: z.boolean(),
  deliveryId: z.string().nullable(),
  queuedAt: instant,
  sentAt: instant.nullable(),
  sentCount: z.number(),
  unanswered: z.number(),
  answeredAt: instant.nullable(),
  answer: jsonObject.nullable(),
});
const params = z.object({ id: z.uuid() });
const tags = ['devices'];

export function deviceCommandRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'POST',
      url: '/devices/:id/commands',
      schema: {
        tags,
        summary: 'Queue a command; a lock goes to the front of the queue',
        params,
        body: operatorCommand,
        response: { 201: z.object({ commandUuid: z.string() }) },
      },
      handler: async (request, reply) => {
        const command = buildOperatorCommand(request.body);
        const deviceId = request.params.id as DeviceId;
        await write(context, async (tx) => {
          const outcome = await queueCommand(tx, { ...command, deviceId });
          if (outcome === 'not-found') throw notFound('device', deviceId);
          if (outcome === 'not-active') throw notActive(deviceId);
        });
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
      method: 'POST',
      url: '/devices/:id/resend',
      schema: {
        tags,
        summary:
          'Send the IT policy, service books, a synchronization or an identity renewal, regardless of the budget',
        params,
        body: z.object({ item: z.enum(['it-policy', 'service-books', 'synchronization', 'device-identity']) }),
        response: { 200: z.object({ deliveriesOwed: z.number() }) },
      },
      handler: async (request) => {
        const { id } = request.params;
        const device = await findDevice(context.db, id);
        if (device === undefined) throw notFound('device', id);
        if (device.state !== 'active') throw notActive(id);
        return await write(context, async (tx) => {
          if (request.body.item === 'device-identity') {
            await requireFeature(tx, context.features, 'device-identity-renewal', 'Renewing the identity of a device');
          }
          const owed = await oweDeliveries(tx, {
            deviceIds: [id],
            cause: 'manual',
            budgeted: false,
            items: [request.body.item],
          }).catch((error: unknown) => {
            if (!isCheckViolation(error)) throw error;
            throw new BrambleError(
              'ERR_STATE',
              `The database does not accept ${request.body.item} yet: the upgrade is being finalized. Try again in ` +
                'a minute.',
              { cause: error },
            );
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
  return new BrambleError('ERR_STATE', `The device ${id} is not managed at the moment, so nothing can be sent to it.`);
}
