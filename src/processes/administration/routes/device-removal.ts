/** Ends the management of one device: told, so that it leaves, or silently. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { BrambleError } from '../../../base/errors.ts';
import { type CommandId, type DeviceId, newId } from '../../../base/ids.ts';
import { removeDevice } from '../../../devices/device-removal.ts';
import { type Domain, readDomain } from '../../../domain/domain.ts';
import { recordEvent } from '../../../domain/events.ts';
import { registeredPlatforms } from '../../../platforms/registered/platforms.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { findDevice } from '../device-list.ts';
import { instant } from '../shapes.ts';

export function deviceRemovalRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'DELETE',
      url: '/devices/:id',
      schema: {
        tags: ['devices'],
        summary: 'Remove a device: told to leave (its enrolment ends when it answers), or silently and at once',
        params: z.object({ id: z.uuid() }),
        querystring: z.object({
          tell: z
            .enum(['true', 'false'])
            .default('true')
            .describe('`false`: the device is refused from now on, but keeps its profiles.'),
        }),
        response: {
          200: z.object({
            state: z.enum(['leaving', 'gone']),
            commandUuid: z
              .string()
              .nullable()
              .describe('The id of the RemoveProfile command that waits for the device.'),
            endsAt: instant.nullable().describe('When the enrolment ends if the device does not answer.'),
            toldWhenItComes: z.boolean().describe('Whether the device is told to leave if it connects again.'),
          }),
        },
      },
      handler: async (request) => {
        const deviceId = request.params.id as DeviceId;
        const domain = await readDomain(context.db);
        const tell = request.query.tell === 'true';
        const outcome = await write(context, async (tx) => {
          const device = await findDevice(tx, deviceId);
          if (device === undefined) throw notFound('device', deviceId);
          const removed = await removeDevice(tx, {
            deviceId,
            tell,
            command: tell ? removalCommand(device.platform, domain) : null,
          });
          if (removed.kind === 'not-found') throw notFound('device', deviceId);
          await recordEvent(tx, {
            kind: 'device-removed',
            subject: deviceId,
            message:
              `${request.administrator} removed the device ${deviceId} (${device.model ?? 'unknown model'}, serial ` +
              `number ${device.serialNumber ?? 'unknown'}) of ${device.account}; ` +
              `${removed.kind === 'ended' && !removed.tells ? 'silently: it is not told' : 'it is told to leave when it next connects'}`,
          });
          return removed;
        });
        if (outcome.kind === 'ended') {
          return { state: 'gone' as const, commandUuid: null, endsAt: null, toldWhenItComes: outcome.tells };
        }
        const { commandId: commandUuid, until: endsAt } = outcome;
        return { state: 'leaving' as const, commandUuid, endsAt, toldWhenItComes: true };
      },
    });
  };
}

/** The order to leave, as the device's platform words it. */
function removalCommand(platformName: string, domain: Pick<Domain, 'domainId'>) {
  const platform = registeredPlatforms.named(platformName);
  if (platform === undefined) {
    throw new BrambleError(
      'ERR_STATE',
      `This release has no platform "${platformName}", so it cannot tell the device to leave: \`bramble device remove --silent\`.`,
    );
  }
  const commandId = newId<CommandId>();
  const order = platform.enrolment.removal(domain);
  return { commandId, requestType: order.requestType, body: order.write(commandId) };
}
