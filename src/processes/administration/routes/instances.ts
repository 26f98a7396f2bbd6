/** Server instances: each with its SRP credential and the process that is wanted for it. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { createInstance, listInstances } from '../../../instances/instances.ts';
import { type AdministrationContext, write } from '../context.ts';
import { removeCredentialFiles, retireWithParts } from '../instance-retirement.ts';
import { addedShape, assertNameUnused, hostName, processName, startProcess, taken } from '../new-component.ts';
import { instant, name } from '../shapes.ts';

const instanceShape = z.object({
  id: z.string(),
  name: z.string(),
  srpIdentifier: z.string(),
  accountCount: z.number(),
  deviceCount: z.number(),
  createdAt: instant,
  retiredAt: instant.nullable(),
});
const tags = ['instances'];

export function instanceRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/instances',
      schema: {
        tags,
        summary: 'List server instances',
        response: { 200: z.object({ instances: z.array(instanceShape) }) },
      },
      handler: async () => ({ instances: await listInstances(context.db) }),
    });

    app.route({
      method: 'POST',
      url: '/instances',
      schema: {
        tags,
        summary: 'Add a server instance with its SRP credential, and start its process',
        body: z.object({ name: processName, host: hostName }),
        response: { 201: addedShape },
      },
      handler: async (request, reply) => {
        const added = await write(context, async (tx) => {
          await assertNameUnused(tx, request.body.name);
          const outcome = await createInstance(tx, request.body);
          if (outcome.kind === 'name-taken') throw taken('instance', request.body.name);
          return await startProcess(context, tx, 'server', outcome, request.body.host, request.administrator);
        });
        return await reply.status(201).send(added);
      },
    });

    app.route({
      method: 'POST',
      url: '/instances/:name/retire',
      schema: {
        tags,
        summary: 'Retire an instance without accounts: its process is stopped, its credential revoked',
        params: z.object({ name }),
        response: {
          200: z.object({
            name: z.string(),
            srpIdentifier: z.string(),
            connectionServices: z
              .array(z.string())
              .describe('Those that served only this instance and were removed with it.'),
          }),
        },
      },
      handler: async (request) => {
        const retired = await write(context, (tx) => retireWithParts(tx, request.params.name, request.administrator));
        await removeCredentialFiles(context.home, retired.srpIdentifiers);
        return retired;
      },
    });
  };
}
