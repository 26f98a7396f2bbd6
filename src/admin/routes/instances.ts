/** Server instances and connection services: each with its SRP credential and the process that is wanted for it. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { BrambleError } from '../../base/errors.ts';
import type { SrpIdentifier } from '../../base/ids.ts';
import type { Transaction } from '../../database/connection.ts';
import {
  type ConnectionService,
  createConnectionService,
  listConnectionServices,
  updateConnectionService,
} from '../../directory/connection-services.ts';
import { createInstance, listInstances } from '../../directory/instances.ts';
import { type ComponentKind, listComponents } from '../../domain/components.ts';
import { desireProcess, listDesiredProcesses } from '../../domain/desired-processes.ts';
import { readDomain } from '../../domain/domain.ts';
import { recordEvent } from '../../domain/events.ts';
import { requireFeature } from '../../domain/features.ts';
import { notFound } from '../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { instant, jsonObject, name } from '../shapes.ts';
import { deliverSrpCredential } from '../srp-issuing.ts';

/** Also the name of the component and of its log file. */
const processName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use lower-case letters, digits and hyphens');
const hostName = z
  .string()
  .min(1)
  .max(255)
  .optional()
  .describe('The host whose supervisor is to run it; default: this one.');
const allowedHosts = z.array(z.string().min(1).max(260)).max(1000);

const servedInstances = {
  instances: z.array(name).min(1).max(64).optional().describe('Names of the instances whose devices it is to serve.'),
  instance: name.optional().describe('The same for a single one, for clients of release 1.0.'),
};

const instanceShape = z.object({
  id: z.string(),
  name: z.string(),
  srpIdentifier: z.string(),
  accountCount: z.number(),
  deviceCount: z.number(),
  createdAt: instant,
  retiredAt: instant.nullable(),
});
const serviceShape = z.object({
  id: z.string(),
  name: z.string(),
  srpIdentifier: z.string(),
  instances: z.array(z.string()).describe('Names of the instances whose devices it serves.'),
  instance: z.string().nullable().describe('The first of them, for clients of release 1.0.'),
  allowedHosts: z.array(z.string()),
  createdAt: instant,
});
const addedShape = z.object({
  name: z.string(),
  srpIdentifier: z.string(),
  host: z.string(),
  credential: jsonObject
    .nullable()
    .describe('The credential file, once, when the host is another one; otherwise it was put in place.'),
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
        summary: 'Add a server instance with its SRP credential, and have its process started',
        body: z.object({ name: processName, host: hostName }),
        response: { 201: addedShape },
      },
      handler: async (request, reply) => {
        const added = await write(context, async (tx) => {
          await assertNameUnused(tx, request.body.name);
          const outcome = await createInstance(tx, request.body);
          if (outcome.kind === 'name-taken') throw taken('instance', request.body.name);
          return await startProcess(tx, 'server', outcome, request.body.host, request.administrator);
        });
        return await reply.status(201).send(added);
      },
    });

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
        summary: 'Add a connection service of instances, with its SRP credential, and have its process started',
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
          const instances = await instancesOf(tx, request.body);
          if (instances === undefined) {
            throw new BrambleError('ERR_INPUT', 'Name the instances that the connection service is to serve.', {
              details: { field: 'body.instances' },
            });
          }
          const { name: serviceName, allowedHosts: hosts } = request.body;
          const outcome = await createConnectionService(tx, { name: serviceName, instances, allowedHosts: hosts });
          if (outcome.kind === 'name-taken') throw taken('connection service', request.body.name);
          if (outcome.kind === 'unknown-instance') throw notFound('instance', outcome.instance);
          return await startProcess(tx, 'connection', outcome.service, request.body.host, request.administrator);
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
        const outcome = await write(context, async (tx) => {
          const instances = await instancesOf(tx, request.body);
          const change = { instances, allowedHosts: request.body.allowedHosts };
          return await updateConnectionService(tx, request.params.name, change);
        });
        if (outcome.kind === 'updated') return serviceView(outcome.service);
        throw outcome.kind === 'not-found'
          ? notFound('connection service', request.params.name)
          : notFound('instance', outcome.instance);
      },
    });
  };

  /** @throws BrambleError ERR_FEATURE_LOCKED for several while sharing is not active. */
  async function instancesOf(
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
        'A connection service of several instances',
      );
    }
    return instances;
  }

  async function startProcess(
    tx: Transaction,
    kind: ComponentKind,
    holder: { name: string; srpIdentifier: SrpIdentifier },
    wantedHost: string | undefined,
    administrator: string,
  ) {
    const host = wantedHost ?? context.host;
    const { release } = await readDomain(tx);
    await desireProcess(tx, {
      name: holder.name,
      kind,
      host,
      release,
      state: 'running',
      settings: { srpIdentifier: holder.srpIdentifier },
    });
    await recordEvent(tx, {
      kind: `${kind}-added`,
      subject: holder.name,
      message: `${administrator} added ${holder.name} (${holder.srpIdentifier}) on ${host}`,
    });
    const delivered = await deliverSrpCredential(context, tx, holder.srpIdentifier, host === context.host);
    return { name: holder.name, srpIdentifier: holder.srpIdentifier, host, credential: delivered.credential };
  }
}

/** Names of processes are one space, whatever their kind: they name components, desired processes and logs. */
async function assertNameUnused(tx: Transaction, wanted: string): Promise<void> {
  const [components, processes] = await Promise.all([listComponents(tx), listDesiredProcesses(tx)]);
  if ([...components, ...processes].some((known) => known.name === wanted)) throw taken('component', wanted);
}

function taken(what: string, given: string): BrambleError {
  return new BrambleError('ERR_NAME_TAKEN', `There is a ${what} named ${given} already. Choose another name.`);
}

function serviceView(service: ConnectionService) {
  const instances = [...service.instances];
  return { ...service, instances, instance: instances[0] ?? null, allowedHosts: [...service.allowedHosts] };
}
