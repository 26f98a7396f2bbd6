/** Connection services: each with the instances it serves, its SRP credential and the process that is wanted for it. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { BrambleError } from '../../../base/errors.ts';
import type { Transaction } from '../../../database/connection.ts';
import {
  type ConnectionService,
  createConnectionService,
  listConnectionServices,
  updateConnectionService,
} from '../../../instances/connection-services.ts';
import { requireFeature } from '../../../registry/features.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { addedShape, assertNameUnused, hostName, processName, startProcess, taken } from '../new-component.ts';
import { instant, name } from '../shapes.ts';

const allowedHosts = z.array(z.string().min(1).max(260)).max(1000);
const servedInstances = {
  instances: z.array(name).min(1).max(64).optional().describe('Names of the instances whose devices it serves.'),
  instance: name.optional().describe('The same for a single instance, for clients of release 1.0.'),
};

const serviceShape = z.object({
  id: z.string(),
  name: z.string(),
  srpIdentifier: z.string(),
  instances: z.array(z.string()).describe('Names of the instances whose devices it serves.'),
  instance: z.string().nullable().describe('The first of them, for clients of release 1.0.'),
  allowedHosts: z.array(z.string()),
  createdAt: instant,
});
const tags = ['instances'];

export function connectionServiceRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/connection-services',
      schema: {
        tags,
        summary: 'List connection services',
        response: { 200: z.object({ connectionServices: z.array(serviceShape) }) },
      },
      handler: async () => ({ connectionServices: (await listConnectionServices(context.db)).map(serviceView) }),
    });

    app.route({
      method: 'POST',
      url: '/connection-services',
      schema: {
        tags,
        summary: 'Add a connection service for instances, with its SRP credential, and start its process',
        body: z.object({
          name: processName,
          ...servedInstances,
          allowedHosts: allowedHosts.optional(),
          host: hostName,
        }),
        response: { 201: addedShape },
      },
      handler: async (request, reply) => {
        const added = await write(context, async (tx) => {
          await assertNameUnused(tx, request.body.name);
          const instances = await instancesOf(context, tx, request.body);
          if (instances === undefined) {
            throw new BrambleError('ERR_INPUT', 'Name the instances that the connection service serves.', {
              details: { field: 'body.instances' },
            });
          }
          const { name: serviceName, allowedHosts: hosts } = request.body;
          const outcome = await createConnectionService(tx, { name: serviceName, instances, allowedHosts: hosts });
          if (outcome.kind === 'name-taken') throw taken('connection service', request.body.name);
          if (outcome.kind === 'unknown-instance') throw notFound('instance', outcome.instance);
          return await startProcess(
            context,
            tx,
            'connection',
            outcome.service,
            request.body.host,
            request.administrator,
          );
        });
        return await reply.status(201).send(added);
      },
    });

    app.route({
      method: 'PATCH',
      url: '/connection-services/:name',
      schema: {
        tags,
        summary: 'Change the instances or the allowed hosts of a connection service',
        params: z.object({ name }),
        body: z.object({ ...servedInstances, allowedHosts: allowedHosts.optional() }),
        response: { 200: serviceShape },
      },
      handler: async (request) => {
        return await write(context, async (tx) => {
          const instances = await instancesOf(context, tx, request.body);
          const change = { instances, allowedHosts: request.body.allowedHosts };
          const outcome = await updateConnectionService(tx, request.params.name, change);
          if (outcome.kind === 'updated') return serviceView(outcome.service);
          throw outcome.kind === 'not-found'
            ? notFound('connection service', request.params.name)
            : notFound('instance', outcome.instance);
        });
      },
    });
  };
}

/** @throws BrambleError ERR_FEATURE_LOCKED for several while sharing is not active. */
async function instancesOf(
  context: AdministrationContext,
  tx: Transaction,
  given: { instances?: string[] | undefined; instance?: string | undefined },
): Promise<string[] | undefined> {
  if (given.instances !== undefined && given.instance !== undefined) {
    throw new BrambleError('ERR_INPUT', 'Give either instances or instance.', {
      details: { field: 'body.instance' },
    });
  }
  const named = given.instances ?? (given.instance === undefined ? undefined : [given.instance]);
  const instances = named && [...new Set(named)];
  if (instances !== undefined && instances.length > 1) {
    await requireFeature(
      tx,
      context.features,
      'connection-service-sharing',
      'A connection service for several instances',
    );
  }
  return instances;
}

function serviceView(service: ConnectionService) {
  const instances = [...service.instances];
  return { ...service, instances, instance: instances[0] ?? null, allowedHosts: [...service.allowedHosts] };
}
