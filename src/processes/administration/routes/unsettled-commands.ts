/** Commands that are not settled: cancelled, or put back into the queue; and what silent devices hold, taken back. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { BrambleError } from '../../../base/errors.ts';
import type { CommandId, DeviceId } from '../../../base/ids.ts';
import { readBudget } from '../../../deliveries/budget.ts';
import { announceDeliveries } from '../../../deliveries/owe-deliveries.ts';
import { takeBackAllSilent } from '../../../deliveries/suspects.ts';
import { type ChangedCommands, cancelCommands, requeueCommands } from '../../../devices/command-queue.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { nothing } from '../shapes.ts';

const params = z.object({ id: z.uuid() });
const handedOut = z
  .stringbool()
  .default(false)
  .describe('Also commands that the device has already received. It may still execute them; its answer is ignored.');
/** How many commands were changed, and how many deliveries with them. */
const changedShape = z.object({ commands: z.number(), deliveries: z.number() });
const tags = ['devices'];

export function cancelRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'DELETE',
      url: '/commands/:id',
      schema: {
        tags,
        summary: 'Cancel an unsettled command; the delivery that it carries fails',
        params,
        querystring: z.object({ handedOut }),
        response: { 204: nothing },
      },
      handler: async (request, reply) => {
        const choice = { commandId: request.params.id as CommandId };
        await write(context, async (tx) =>
          changed(await cancelCommands(tx, choice, request.query), 'command', request.params.id),
        );
        return await reply.status(204).send(null);
      },
    });

    app.route({
      method: 'DELETE',
      url: '/devices/:id/commands',
      schema: {
        tags,
        summary: 'Cancel the unsettled commands of a device; the deliveries they carry fail',
        params,
        querystring: z.object({ handedOut }),
        response: { 200: changedShape },
      },
      handler: async (request) => {
        const choice = { deviceId: request.params.id as DeviceId };
        return await write(context, async (tx) =>
          changed(await cancelCommands(tx, choice, request.query), 'device', choice.deviceId),
        );
      },
    });
  };
}

const requeued = [
  {
    what: 'command',
    url: '/commands/:id/requeue',
    summary: 'Put an unsettled command back into the queue, as if it had never been handed out',
    choiceOf: (id: string) => ({ commandId: id as CommandId }),
  },
  {
    what: 'device',
    url: '/devices/:id/commands/requeue',
    summary: 'Put the unsettled commands of a device back into the queue',
    choiceOf: (id: string) => ({ deviceId: id as DeviceId }),
  },
] as const;

export function requeueRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    for (const { what, url, summary, choiceOf } of requeued) {
      app.route({
        method: 'POST',
        url,
        schema: { tags, summary, params, response: { 200: changedShape } },
        handler: async ({ params: { id } }) =>
          await write(context, async (tx) => changed(await requeueCommands(tx, choiceOf(id)), what, id)),
      });
    }

    app.route({
      method: 'POST',
      url: '/commands/requeue-silent',
      schema: {
        tags,
        summary: 'Take back budgeted commands from silent devices: slots and suspects become free',
        response: { 200: changedShape },
      },
      handler: async () =>
        await write(context, async (tx) => {
          const { suspectAfterSeconds } = await readBudget(tx);
          const taken = await takeBackAllSilent(tx, suspectAfterSeconds);
          await announceDeliveries(tx);
          return { commands: taken.length, deliveries: taken.length };
        }),
    });
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
