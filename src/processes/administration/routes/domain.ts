/** The domain as a whole: status and events. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { listEvents } from '../../../domain/events.ts';
import type { AdministrationContext } from '../context.ts';
import { instant } from '../shapes.ts';
import { readStatus } from '../status-report.ts';
import { componentShape, componentView } from './components.ts';

const statusShape = z.object({
  domain: z.object({
    name: z.string(),
    publicUrl: z.string(),
    tunnelHost: z.string(),
    release: z.string(),
    schemaVersion: z.number(),
    featureLevel: z.string(),
  }),
  components: z.array(componentShape),
  supervisors: z.array(
    z.object({
      host: z.string(),
      wanted: z.boolean().describe('Whether the domain wants processes to run there.'),
      release: z.string().nullable().describe('null for 1.1, whose supervisors do not report.'),
      atWork: z.boolean().describe('Whether it has reported recently.'),
      processId: z.number().nullable(),
      nodeVersion: z.string().nullable(),
      postgresBinaries: z.string().nullable(),
      postgresServer: z.string().nullable(),
      startedAt: instant.nullable(),
    }),
  ),
  instances: z.array(
    z.object({
      name: z.string(),
      srpIdentifier: z.string(),
      accountCount: z.number(),
      deviceCount: z.number(),
      release: z.string().nullable(),
      alive: z.boolean(),
      links: z.array(z.object({ router: z.string(), since: z.string().nullable(), reconnects: z.number() })),
      deliveries: z.object({ owed: z.number(), released: z.number(), inFlight: z.number(), suspects: z.number() }),
      hold: z
        .object({ reason: z.string(), text: z.string(), waiting: z.number(), heldSeconds: z.number() })
        .nullable()
        .describe('What is holding deliveries back at the moment, and for how long in total.'),
    }),
  ),
  sharedDatabaseRole: z
    .string()
    .nullable()
    .describe('The database role of all processes if they share one; null if each kind has its own.'),
  deliveries: z.object({
    inFlight: z.number(),
    suspects: z.number(),
    budget: z.record(z.string(), z.number()),
    heldBySuspects: z
      .object({ instances: z.array(z.string()), silent: z.number(), clearedBy: z.string() })
      .nullable()
      .describe(
        'Set while silent devices hold slots that others wait for; `clearedBy` is the command that frees them.',
      ),
  }),
  identities: z
    .object({
      ended: z.number(),
      endWithin30Days: z.number(),
      due: z.number(),
      underWay: z.number(),
      unused: z.number(),
      failed: z.number(),
      renewing: z.boolean(),
    })
    .describe('For active devices; `renewing` is false until the upgrade that introduces renewals is finalized.'),
  certificates: z.array(
    z.object({ name: z.string(), endsAt: instant, renewal: z.string(), warning: z.string().nullable() }),
  ),
  unansweredDevices: z.number().describe('Devices that repeatedly received the same command without answering.'),
  openMoves: z.array(
    z.object({ batch: z.string(), purpose: z.string(), state: z.string(), open: z.number(), outOfReach: z.number() }),
  ),
  upgrade: z
    .object({
      id: z.string(),
      from: z.string(),
      to: z.string(),
      state: z.string(),
      pausedFrom: z.string().nullable(),
      reason: z.string().nullable(),
    })
    .nullable(),
});
const tags = ['domain'];

export function domainRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/status',
      schema: { tags, summary: 'The domain at a glance', response: { 200: statusShape } },
      handler: async () => {
        const status = await readStatus(context);
        return { ...status, components: status.components.map(componentView), deliveries: { ...status.deliveries } };
      },
    });

    app.route({
      method: 'GET',
      url: '/events',
      schema: {
        tags,
        summary: 'What happened, newest first',
        querystring: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) }),
        response: {
          200: z.object({
            events: z.array(
              z.object({
                id: z.number(),
                at: instant,
                kind: z.string(),
                subject: z.string().nullable(),
                message: z.string(),
              }),
            ),
          }),
        },
      },
      handler: async (request) => ({ events: await listEvents(context.db, request.query.limit) }),
    });
  };
}
