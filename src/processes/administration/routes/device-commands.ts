/** Commands that an administrator sends to a device, and the device's command queue. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { assertRight } from '../../../access/guard.ts';
import { deviceCommandOperations, type OperatorCommand, profileCommands } from '../../../api/device-commands.ts';
import { BrambleError } from '../../../base/errors.ts';
import { type CommandId, type DeviceId, newId } from '../../../base/ids.ts';
import { notFound } from '../../../base/not-found.ts';
import { isCheckViolation } from '../../../database/sql-state.ts';
import { announceDeliveries, oweDeliveries } from '../../../deliveries/owe-deliveries.ts';
import { listCommands, queueCommand } from '../../../devices/command-queue.ts';
import { findDevice } from '../../../devices/device-list.ts';
import type { OperatorOrder } from '../../../platforms/operator-order.ts';
import type { Platforms } from '../../../platforms/port.ts';
import { requireFeature } from '../../../registry/features.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function deviceCommandRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, deviceCommandOperations.queue, async (request) => {
      const deviceId = request.params.id as DeviceId;
      if (profileCommands.includes(request.body.requestType)) assertRight(actorOf(request), 'devices.profiles');
      return await write(context, async (tx) => {
        const commandId = newId<CommandId>();
        const device = await findDevice(tx, deviceId);
        if (device === undefined) throw notFound('device', deviceId);
        const order = operatorOrder(context.platforms, device.platform, request.body);
        const outcome = await queueCommand(tx, {
          ...{ commandId, deviceId, requestType: order.requestType, urgent: order.urgent },
          body: order.write(commandId),
        });
        if (outcome === 'not-found') throw notFound('device', deviceId);
        if (outcome === 'not-active') throw notActive(deviceId);
        return { commandUuid: commandId };
      });
    });

    serve(app, deviceCommandOperations.list, async (request) => {
      const deviceId = request.params.id as DeviceId;
      if ((await findDevice(context.db, deviceId)) === undefined) throw notFound('device', deviceId);
      const { rows, next } = await listCommands(context.db, deviceId, request.query);
      return {
        next,
        commands: rows.map(({ commandId, answer, ...command }) => ({
          ...command,
          commandUuid: commandId,
          answer: answer === null ? null : (answer as Record<string, unknown>),
        })),
      };
    });

    serve(app, deviceCommandOperations.resend, async (request) => {
      const { id } = request.params;
      return await write(context, async (tx) => {
        const device = await findDevice(tx, id);
        if (device === undefined) throw notFound('device', id);
        if (device.state !== 'active') throw notActive(id);
        if (request.body.item === 'device-identity') {
          await requireFeature(tx, context.features, 'device-identity-renewal', 'Renewing the identity of a device');
        }
        const owed = await oweDeliveries(tx, context.platforms, {
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
    });
  };
}

/** @throws BrambleError ERR_COMMAND_UNSUPPORTED */
function operatorOrder(platforms: Platforms, platform: string, command: OperatorCommand): OperatorOrder {
  const order = platforms.named(platform)?.operatorOrder(command);
  if (order !== undefined) return order;
  const { requestType } = command;
  throw new BrambleError(
    'ERR_COMMAND_UNSUPPORTED',
    `Devices of the platform ${platform} do not support ${requestType}.`,
    {
      details: { platform, requestType },
    },
  );
}

function notActive(id: string): BrambleError {
  return new BrambleError('ERR_STATE', `The device ${id} is not managed at the moment, so nothing can be sent to it.`);
}
