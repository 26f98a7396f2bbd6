/** Ends the management of one device: with notice, so that it leaves, or silently. */
import type { FastifyPluginAsync } from 'fastify';
import { deviceOperations } from '../../../api/devices.ts';
import { BrambleError } from '../../../base/errors.ts';
import { type CommandId, type DeviceId, newId } from '../../../base/ids.ts';
import { notFound } from '../../../base/not-found.ts';
import { findDevice, lockedDevice } from '../../../devices/device-list.ts';
import { removeDevice } from '../../../devices/device-removal.ts';
import { type Domain, readDomain } from '../../../domain/domain.ts';
import { recordEvent } from '../../../domain/events.ts';
import type { Platforms } from '../../../platforms/port.ts';
import { refuseChanged } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function deviceRemovalRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, deviceOperations.remove, async (request) => {
      const deviceId = request.params.id as DeviceId;
      const domain = await readDomain(context.db);
      const tell = request.query.tell === 'true';
      const outcome = await write(context, async (tx) => {
        await refuseChanged(request, deviceOperations.show.revisedBy, () => lockedDevice(tx, deviceId));
        const device = await findDevice(tx, deviceId);
        if (device === undefined) throw notFound('device', deviceId);
        const removed = await removeDevice(tx, {
          deviceId,
          tell,
          command: tell ? removalCommand(context.platforms, device.platform, domain) : null,
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
    });
  };
}

/** The order to leave, in the format of the device's platform. */
function removalCommand(platforms: Platforms, platformName: string, domain: Pick<Domain, 'domainId'>) {
  const platform = platforms.named(platformName);
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
