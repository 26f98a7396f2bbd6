/** Commands that an administrator sends to a device, and the device's command queue. */
import type { FastifyPluginAsync } from 'fastify';
import { deviceCommandOperations } from '../../../api/device-commands.ts';
import { BrambleError } from '../../../base/errors.ts';
import type { DeviceId } from '../../../base/ids.ts';
import { isCheckViolation } from '../../../database/sql-state.ts';
import { announceDeliveries, oweDeliveries } from '../../../deliveries/owe-deliveries.ts';
import { listCommands, queueCommand } from '../../../devices/command-queue.ts';
import { findDevice } from '../../../devices/device-list.ts';
import { requireFeature } from '../../../registry/features.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { buildOperatorCommand } from '../operator-command.ts';

export function deviceCommandRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, deviceCommandOperations.queue, async (request) => {
      const command = buildOperatorCommand(request.body);
      const deviceId = request.params.id as DeviceId;
      await write(context, async (tx) => {
        const outcome = await queueCommand(tx, { ...command, deviceId });
        if (outcome === 'not-found') throw notFound('device', deviceId);
        if (outcome === 'not-active') throw notActive(deviceId);
      });
      return { commandUuid: command.commandId };
    });

    serve(app, deviceCommandOperations.list, async (request) => {
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
    });

    serve(app, deviceCommandOperations.resend, async (request) => {
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
    });
  };
}

function notActive(id: string): BrambleError {
  return new BrambleError('ERR_STATE', `The device ${id} is not managed at the moment, so nothing can be sent to it.`);
}
