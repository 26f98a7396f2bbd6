/** Where an account is to go in the upgrade that is open: changeable on the way. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { accountNameOf } from '../../directory/account-name.ts';
import { findInstance } from '../../directory/instances.ts';
import { recordEvent } from '../../domain/events.ts';
import { lockOpenUpgrade } from '../../upgrade/upgrade-store.ts';
import { changeAssignment } from '../../upgrade/wave-store.ts';
import { lockAccountByName } from '../account-selection.ts';
import { type AdministrationContext, write } from '../context.ts';
import { notFound } from '../http-errors.ts';
import { name } from '../shapes.ts';

export function assignmentRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'PUT',
      url: '/accounts/:name/assignment',
      schema: {
        tags: ['upgrade'],
        summary: 'Change where an account goes in the open upgrade',
        params: z.object({ name }),
        body: z.object({ instance: name, wave: z.number().int().min(0).max(1000).optional() }),
        response: { 200: z.object({ account: z.string(), instance: z.string() }) },
      },
      handler: async (request) => {
        const account = accountNameOf(request.params.name);
        return await write(context, async (tx) => {
          const target = await findInstance(tx, request.body.instance);
          if (target === undefined || target.retiredAt !== null) throw notFound('instance', request.body.instance);
          const upgrade = await lockOpenUpgrade(tx);
          if (upgrade === undefined) {
            throw new BrambleError(
              'ERR_STATE',
              'No upgrade is open. Outside of one accounts are moved with `bramble move start`.',
            );
          }
          const accountId = await lockAccountByName(tx, account);
          if (accountId === undefined) throw notFound('account', account);
          const outcome = await changeAssignment(tx, upgrade.id, {
            accountId,
            toInstanceId: target.id,
            ...(request.body.wave === undefined ? {} : { waveNumber: request.body.wave }),
          });
          if (outcome === 'not-assigned') throw notFound('account of the open upgrade', account);
          await recordEvent(tx, {
            kind: 'account-assigned',
            subject: account,
            message: `${request.administrator} assigned ${account} to ${target.name} in the upgrade`,
          });
          return { account, instance: target.name };
        });
      },
    });
  };
}
