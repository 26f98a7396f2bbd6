/** Roles: listed, and those of the domain's own made, changed and removed. */
import type { FastifyPluginAsync } from 'fastify';
import { type Actor, actorOf } from '../../../access/actor.ts';
import { assertMayGive, changeRole, createRole, listCustomRoles, removeRole } from '../../../access/roles.ts';
import { assertProven } from '../../../access/sign-in/proof.ts';
import { allRights, canBeLimited, predefinedRoleNames, purposeOf, type Right, rightsOf } from '../../../api/rights.ts';
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
      mayGive(request, request.body.rights);
      return await write(context, async (tx) => ({ ...(await createRole(tx, request.body)), predefined: false }));
    });

    serve(app, roleOperations.change, async (request) => {
      const { name } = request.params;
      const { rights } = request.body;
      mayGive(request, rights);
      return await write(context, async (tx) => ({ ...(await changeRole(tx, name, rights)), predefined: false }));
    });

    serve(app, roleOperations.remove, async ({ params: { name } }) => {
      await write(context, async (tx) => await removeRole(tx, name));
    });
  };
}

/** @throws BrambleError ERR_PROOF_NEEDED, ERR_RIGHT_MISSING */
function mayGive(request: { actor: Actor | null }, rights: readonly Right[]): void {
  const actor = actorOf(request);
  assertProven(actor);
  assertMayGive(actor, rights);
}
