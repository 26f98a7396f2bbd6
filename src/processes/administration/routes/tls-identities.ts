/** The requirement that a device shows its certificate in TLS, lifted for one device or for all. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { BrambleError } from '../../../base/errors.ts';
import type { DeviceId } from '../../../base/ids.ts';
import { clearTlsIdentities, clearTlsIdentity, countTlsIdentities } from '../../../devices/tls-identity.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { nothing } from '../shapes.ts';

/** Devices whose rows one transaction holds. */
const clearedAtOnce = 500;
const tags = ['devices'];

export function tlsIdentityRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'DELETE',
      url: '/devices/:id/tls-identity',
      schema: {
        tags,
        summary: 'Let a device authenticate by signature alone until it has used TLS on three more days',
        params: z.object({ id: z.uuid() }),
        response: { 204: nothing },
      },
      handler: async (request, reply) => {
        await write(context, async (tx) => {
          const outcome = await clearTlsIdentity(tx, request.params.id as DeviceId);
          if (outcome === 'not-found') throw notFound('device', request.params.id);
          if (outcome === 'unneeded') {
            throw new BrambleError(
              'ERR_STATE',
              `The device ${request.params.id} is not held to TLS and has no TLS days counted: there is nothing to ` +
                'clear.',
            );
          }
        });
        return await reply.status(204).send(null);
      },
    });

    app.route({
      method: 'GET',
      url: '/tls-identities',
      schema: {
        tags,
        summary: 'How many devices must authenticate in TLS, and for how many days are being counted',
        response: { 200: z.object({ required: z.number(), counting: z.number() }) },
      },
      handler: async () => await countTlsIdentities(context.db),
    });

    app.route({
      method: 'DELETE',
      url: '/tls-identities',
      schema: {
        tags,
        summary: 'The same for all devices, for example when a proxy will terminate TLS in front of the routers',
        response: { 200: z.object({ devices: z.number() }) },
      },
      handler: async () => {
        let devices = 0;
        for (let cleared = clearedAtOnce; cleared === clearedAtOnce; devices += cleared) {
          cleared = await write(context, (tx) => clearTlsIdentities(tx, clearedAtOnce));
        }
        return { devices };
      },
    });
  };
}
