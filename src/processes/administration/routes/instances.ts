/** Server instances: each with its SRP credential and its desired process. */
import type { FastifyPluginAsync } from 'fastify';
import { instanceOperations } from '../../../api/instances.ts';
import { createInstance, listInstances } from '../../../instances/instances.ts';
import { serve } from '../../../rest/serve.ts';
import { joinUpgrade, upgradeToJoin } from '../../../upgrade/steps/instances-by-hand.ts';
import { type AdministrationContext, write } from '../context.ts';
import { removeCredentialFiles, retireWithParts } from '../instance-retirement.ts';
import { assertNameUnused, startProcess, taken } from '../new-component.ts';

export function instanceRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, instanceOperations.list, async () => ({ instances: await listInstances(context.db) }));

    serve(app, instanceOperations.add, async (request) => {
      return await write(context, async (tx) => {
        const upgrade = await upgradeToJoin(tx);
        await assertNameUnused(tx, request.body.name);
        const outcome = await createInstance(tx, request.body);
        if (outcome.kind === 'name-taken') throw taken('instance', request.body.name);
        if (upgrade !== undefined) await joinUpgrade(tx, upgrade, outcome);
        return await startProcess(context, tx, 'server', outcome, request.body.host, request.administrator);
      });
    });

    serve(app, instanceOperations.retire, async (request) => {
      const retired = await write(context, (tx) => retireWithParts(tx, request.params.name, request.administrator));
      await removeCredentialFiles(context.home, retired.srpIdentifiers);
      return retired;
    });
  };
}
