/** The domain as a whole: status, events, the push service's address. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { listEvents, recordEvent } from '../../domain/events.ts';
import { type PushSettings, pushSettingsSchema } from '../../policy/push.ts';
import { inspectPushCertificate } from '../../policy/push-certificate.ts';
import { readStoredPushSettings, writePushSettings } from '../../policy/push-settings.ts';
import { fixPushTopic, readPushTopic } from '../../policy/push-topic.ts';
import { type AdministrationContext, write } from '../context.ts';
import { instant, jsonObject } from '../shapes.ts';
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
        .describe('What holds deliveries back just now, and for how long it has altogether.'),
    }),
  ),
  sharedDatabaseRole: z
    .string()
    .nullable()
    .describe(
      'The database role that every process has, where they have the same one; null where each kind has its own.',
    ),
  deliveries: z.object({
    inFlight: z.number(),
    suspects: z.number(),
    budget: z.record(z.string(), z.number()),
    heldBySuspects: z
      .object({ instances: z.array(z.string()), silent: z.number(), clearedBy: z.string() })
      .nullable()
      .describe('While silent devices hold slots and the cap of suspects is reached; `clearedBy` is the command.'),
  }),
  unansweredDevices: z
    .number()
    .describe('Devices that were handed the same command again and again without answering.'),
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
const pushShape = z.object({
  url: z.string(),
  hasOwnAuthority: z.boolean(),
  hasCertificate: z.boolean(),
  topic: z.string().describe('Devices are woken under it and keep it for ever.'),
  topicFixed: z.boolean().describe('Whether a certificate has fixed it; before that it is made up.'),
  mustEnrolAgain: z.number().describe('Enrolments that know another topic.'),
});
const tags = ['domain'];

export function domainRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  /** Keys and certificates stay in the database. */
  const pushView = async (settings: Pick<PushSettings, 'url' | 'caPem' | 'certificatePem'>) => {
    const { topic, fixed, mustEnrolAgain } = await readPushTopic(context.db);
    return {
      url: settings.url,
      hasOwnAuthority: settings.caPem !== undefined,
      hasCertificate: settings.certificatePem !== undefined,
      topic,
      topicFixed: fixed,
      mustEnrolAgain,
    };
  };
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/status',
      schema: { tags, summary: 'The domain at a glance', response: { 200: statusShape } },
      handler: async () => {
        const status = await readStatus(context.db);
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

    app.route({
      method: 'GET',
      url: '/push',
      schema: { tags, summary: 'Where devices are woken through', response: { 200: pushShape } },
      handler: async () => await pushView(await readStoredPushSettings(context.db)),
    });

    app.route({
      method: 'PUT',
      url: '/push',
      schema: {
        tags,
        summary: 'Set the push service that wakes devices; replaces all of its settings',
        body: jsonObject.describe('url, and where needed caPem, certificatePem and privateKeyPem.'),
        response: { 200: pushShape },
      },
      handler: async (request) => {
        const parsed = pushSettingsSchema.strict().safeParse(request.body);
        if (!parsed.success) {
          const [issue] = parsed.error.issues;
          const field = ['body', ...(issue?.path ?? [])].join('.');
          throw new BrambleError('ERR_INPUT', `${field} does not fit: ${issue?.message ?? 'unknown'}.`, {
            details: { field },
          });
        }
        const settings = parsed.data;
        const now = new Date();
        const hasCertificate = settings.certificatePem !== undefined || settings.privateKeyPem !== undefined;
        const certificate = hasCertificate ? inspectPushCertificate(settings, now) : undefined;
        await write(context, async (tx) => {
          const fixed = certificate && (await fixPushTopic(tx, context.features, certificate.topic, now));
          await writePushSettings(tx, context.masterKeys, settings);
          await recordEvent(tx, {
            kind: 'push-changed',
            message: `${request.administrator} set the push service to ${settings.url}${
              certificate ? `, with a certificate until ${certificate.expiresAt.toISOString().slice(0, 10)}` : ''
            }`,
          });
          if (fixed?.replaced !== true) return;
          await recordEvent(tx, {
            kind: 'push-topic-fixed',
            message: `the push topic is ${certificate?.topic} from now on; ${fixed.mustEnrolAgain} devices must enrol again`,
          });
        });
        return await pushView(settings);
      },
    });
  };
}
