/** What administrators lose: what they sign in with, one or all of it, and their place. */
import type { FastifyPluginAsync } from 'fastify';
import {
  disableAdministrator,
  enableAdministrator,
  findAdministrator,
  removeAdministrator,
  removeFactor,
  resetAdministrator,
} from '../../../access/administrators.ts';
import { assertSignsInHere } from '../../../access/openid/identities.ts';
import { makeInvitation } from '../../../access/sign-in/one-time-code.ts';
import { listPasskeys } from '../../../access/sign-in/own-passkeys.ts';
import { endSessionsOf } from '../../../access/sign-in/sessions.ts';
import { administratorOperations } from '../../../api/administrators.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Transaction } from '../../../database/connection.ts';
import { serve } from '../../../rest/serve.ts';
import type { AdministrationContext } from '../context.ts';
import { changed } from './administrators.ts';

const without = (factor: 'totp' | 'passkeys') => async (tx: Transaction, id: string) =>
  await removeFactor(tx, id, factor);

export function administratorAccessRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(
      app,
      administratorOperations.reset,
      async (request) =>
        await changed(context, request, 'administrator-reset', 'reset', async (tx, { id, name }, actor) => {
          await assertSignsInHere(tx, name);
          await resetAdministrator(tx, id);
          return await makeInvitation(tx, id, actor.name);
        }),
    );

    serve(
      app,
      administratorOperations.resetPassword,
      async (request) =>
        await changed(
          context,
          request,
          'administrator-reset',
          'took the password of',
          async (tx, { id, name }, actor) => {
            await assertSignsInHere(tx, name);
            await removeFactor(tx, id, 'password');
            return await makeInvitation(tx, id, actor.name);
          },
        ),
    );

    serve(app, administratorOperations.listPasskeys, async (request) => {
      const { name } = request.params;
      const one = await findAdministrator(context.db, name);
      if (one === undefined) throw notFound('administrator', name);
      return { passkeys: await listPasskeys(context.db, one.id) };
    });

    for (const [operation, kind, did, work] of [
      [administratorOperations.removeTotp, 'administrator-reset', 'took the authenticator of', without('totp')],
      [administratorOperations.removePasskeys, 'administrator-reset', 'took the passkeys of', without('passkeys')],
      [administratorOperations.endSessions, 'administrator-signed-out', 'ended the sessions of', endSessionsOf],
      [administratorOperations.disable, 'administrator-disabled', 'disabled', disableAdministrator],
      [administratorOperations.enable, 'administrator-enabled', 'enabled', enableAdministrator],
      [administratorOperations.remove, 'administrator-removed', 'removed', removeAdministrator],
    ] as const) {
      serve(
        app,
        operation,
        async (request) => await changed(context, request, kind, did, async (tx, { id }) => await work(tx, id)),
      );
    }
  };
}
