/** Roles: listed, and those of the domain's own made, changed and removed. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { assertMayGive, changeRole, createRole, holdRole, listCustomRoles, removeRole } from '../../../access/roles.ts';
import { allRights, canBeLimited, predefinedRoleNames, purposeOf, rightsOf } from '../../../api/rights.ts';
import { roleOperations } from '../../../api/roles.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function roleRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, roleOperations.list, async () => {
      const predefined = predefinedRoleNames.map((name) => ({
        ...{ name, predefined: true, rights: rightsOf(name), createdAt: null },
      }));
      const own = await listCustomRoles(context.db);
      return {
        roles: [...predefined, ...own.map((role) => ({ ...role, predefined: false }))],
        rights: allRights.map((name) => ({ name, purpose: purposeOf(name), inGroups: canBeLimited(name) })),
      };
    });

    serve(app, roleOperations.create, async (request) => {
      assertMayGive(actorOf(request), request.body.rights);
      return await write(context, async (tx) => ({ ...(await createRole(tx, request.body)), predefined: false }));
    });

    serve(app, roleOperations.change, async (request) => {
      const { name } = request.params;
      const { rights } = request.body;
      const actor = actorOf(request);
      assertMayGive(actor, rights);
      return await write(context, async (tx) => {
        assertMayGive(actor, await holdRole(tx, name, true));
        return { ...(await changeRole(tx, name, rights)), predefined: false };
      });
    });

    serve(app, roleOperations.remove, async (request) => {
      const { name } = request.params;
      await write(context, async (tx) => {
        assertMayGive(actorOf(request), await holdRole(tx, name, true));
        await removeRole(tx, name);
      });
    });
  };
}
