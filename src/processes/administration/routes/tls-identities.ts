/** Lifts the requirement that a device presents its certificate in TLS, for one device or for all. */
import type { FastifyPluginAsync } from 'fastify';
import { deviceOperations } from '../../../api/devices.ts';
import { BrambleError } from '../../../base/errors.ts';
import type { DeviceId } from '../../../base/ids.ts';
import { notFound } from '../../../base/not-found.ts';
import { lockedDevice } from '../../../devices/device-list.ts';
import { clearTlsIdentities, clearTlsIdentity, countTlsIdentities } from '../../../devices/tls-identity.ts';
import { refuseChanged } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

/** Devices whose rows one transaction holds. */
const maxCleared = 500;

export function tlsIdentityRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, deviceOperations.clearTlsIdentity, async (request) => {
      await write(context, async (tx) => {
        const id = request.params.id as DeviceId;
        await refuseChanged(request, deviceOperations.show.revisedBy, () => lockedDevice(tx, id));
        const outcome = await clearTlsIdentity(tx, id);
        if (outcome === 'not-found') throw notFound('device', request.params.id);
        if (outcome === 'unneeded') {
          throw new BrambleError(
            'ERR_STATE',
            `The device ${request.params.id} does not require TLS and has no TLS days recorded: there is nothing to ` +
              'clear.',
          );
        }
      });
    });

    serve(app, deviceOperations.countTlsIdentities, async () => await countTlsIdentities(context.db));

    serve(app, deviceOperations.clearTlsIdentities, async () => {
      let devices = 0;
      for (let cleared = maxCleared; cleared === maxCleared; devices += cleared) {
        cleared = await write(context, (tx) => clearTlsIdentities(tx, maxCleared));
      }
      return { devices };
    });
  };
}
