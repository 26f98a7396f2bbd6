/** Unsettled commands: cancels or requeues them, and takes back what silent devices hold. */
import type { FastifyPluginAsync } from 'fastify';
import { deviceCommandOperations } from '../../../api/device-commands.ts';
import { BrambleError } from '../../../base/errors.ts';
import type { CommandId, DeviceId } from '../../../base/ids.ts';
import { notFound } from '../../../base/not-found.ts';
import { readBudget } from '../../../deliveries/budget.ts';
import { announceDeliveries } from '../../../deliveries/owe-deliveries.ts';
import { takeBackAllSilent } from '../../../deliveries/suspects.ts';
import { type ChangedCommands, cancelCommands, requeueCommands } from '../../../devices/command-queue.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function cancelRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, deviceCommandOperations.cancel, async (request) => {
      const choice = { commandId: request.params.id as CommandId };
      await write(context, async (tx) =>
        changed(await cancelCommands(tx, choice, request.query), 'command', request.params.id),
      );
    });

    serve(app, deviceCommandOperations.cancelOfDevice, async (request) => {
      const choice = { deviceId: request.params.id as DeviceId };
      return await write(context, async (tx) =>
        changed(await cancelCommands(tx, choice, request.query), 'device', choice.deviceId),
      );
    });
  };
}

export function requeueRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, deviceCommandOperations.requeue, async ({ params: { id } }) =>
      write(context, async (tx) => changed(await requeueCommands(tx, { commandId: id as CommandId }), 'command', id)),
    );

    serve(app, deviceCommandOperations.requeueOfDevice, async ({ params: { id } }) =>
      write(context, async (tx) => changed(await requeueCommands(tx, { deviceId: id as DeviceId }), 'device', id)),
    );

    serve(
      app,
      deviceCommandOperations.requeueSilent,
      async () =>
        await write(context, async (tx) => {
          const { suspectAfterSeconds } = await readBudget(tx);
          const taken = await takeBackAllSilent(tx, suspectAfterSeconds);
          await announceDeliveries(tx);
          return { commands: taken.length, deliveries: taken.length };
        }),
    );
  };
}

/** @throws BrambleError where nothing could be changed. */
function changed(outcome: ChangedCommands, what: 'command' | 'device', id: string) {
  switch (outcome.kind) {
    case 'changed':
      return { commands: outcome.commands, deliveries: outcome.deliveries };
    case 'not-found':
      throw notFound(what, id);
    case 'settled':
      throw new BrambleError('ERR_STATE', `The command ${id} is settled: it was answered or cancelled.`);
    case 'handed-out':
      throw new BrambleError(
        'ERR_STATE',
        'The device has already received it and may execute it. `bramble device cancel DEVICE --handed-out` ' +
          '(handedOut=true) cancels it anyway.',
      );
  }
}
