/** Connection services: each with the instances it serves, its SRP credential and its desired process. */
import type { FastifyPluginAsync } from 'fastify';
import { connectionServiceOperations } from '../../../api/connection-services.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Transaction } from '../../../database/connection.ts';
import {
  type ConnectionService,
  createConnectionService,
  listConnectionServices,
  updateConnectionService,
} from '../../../instances/connection-services.ts';
import { requireFeature } from '../../../registry/features.ts';
import { refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { assertNameUnused, startProcess, taken } from '../new-component.ts';

export function connectionServiceRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, connectionServiceOperations.list, async () => ({
      connectionServices: (await listConnectionServices(context.db)).map(serviceView),
    }));

    serve(app, connectionServiceOperations.add, async (request) => {
      return await write(context, async (tx) => {
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
        return await startProcess(context, tx, 'connection', outcome.service, request.body.host, request.administrator);
      });
    });

    serve(app, connectionServiceOperations.change, async (request) => {
      return await write(context, async (tx) => {
        await refuseStale(tx, request, { table: 'connection_service', key: request.params.name });
        const instances = await instancesOf(context, tx, request.body);
        const change = { instances, allowedHosts: request.body.allowedHosts };
        const outcome = await updateConnectionService(tx, request.params.name, change);
        if (outcome.kind === 'updated') return serviceView(outcome.service);
        throw outcome.kind === 'not-found'
          ? notFound('connection service', request.params.name)
          : notFound('instance', outcome.instance);
      });
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
