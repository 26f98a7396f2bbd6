/** The domain as a whole: status and events, and the description of its API. */
import * as z from 'zod';
import { shownBudget } from './budget.ts';
import { component } from './components.ts';
import { eventStream, topicList } from './event-stream.ts';
import type { Operations } from './operation.ts';
import { next, pageQuery } from './paging.ts';
import { instant, listLimit, name } from './shapes.ts';
import { supervisor } from './supervisors.ts';

const instance = z.object({
  name: z.string(),
  srpIdentifier: z.string(),
  accountCount: z.number(),
  deviceCount: z.number(),
  release: z.string().nullable(),
  alive: z.boolean(),
  links: z
    .array(z.object({ router: z.string(), since: z.string().nullable(), reconnects: z.number() }))
    .describe('Routers that its link is open to now.'),
  deliveries: z.object({ owed: z.number(), released: z.number(), inFlight: z.number(), suspects: z.number() }),
  hold: z
    .object({ reason: z.string(), text: z.string(), waiting: z.number(), heldSeconds: z.number() })
    .nullable()
    .describe('What is holding deliveries back at the moment, and for how long in total.'),
});
export type InstanceStatus = z.output<typeof instance>;

const identities = z.object({
  ended: z.number(),
  endWithin30Days: z.number(),
  due: z.number(),
  underWay: z.number(),
  unused: z.number(),
  failed: z.number(),
  renewing: z.boolean(),
});

/** Without a remark on it, releases before 1.2 do not have it. */
const domainStatus = z.object({
  domain: z.object({
    name: z.string(),
    publicUrl: z.string(),
    tunnelHost: z.string(),
    release: z.string(),
    schemaVersion: z.number(),
    featureLevel: z.string(),
  }),
  groups: z
    .array(z.string())
    .nullable()
    .describe(
      'Of who is limited to groups: their names. All counts are of the accounts in these then, and what is of the domain as a whole is empty.',
    )
    .default(null),
  components: z.array(component),
  supervisors: z.array(supervisor).default([]),
  instances: z.array(instance),
  sharedDatabaseRole: z
    .string()
    .nullable()
    .describe('The database role of all processes if they share one; null if each kind has its own.')
    .default(null),
  deliveries: z.object({
    inFlight: z.number(),
    suspects: z.number(),
    budget: shownBudget,
    heldBySuspects: z
      .object({ instances: z.array(z.string()), silent: z.number(), clearedBy: z.string() })
      .nullable()
      .describe('Set while silent devices hold slots that others wait for; `clearedBy` is the command that frees them.')
      .default(null),
  }),
  identities: identities
    .describe('For active devices; `renewing` is false until the upgrade that introduces renewals is finalized.')
    .default({ ended: 0, endWithin30Days: 0, due: 0, underWay: 0, unused: 0, failed: 0, renewing: false }),
  certificates: z
    .array(z.object({ name: z.string(), endsAt: instant, renewal: z.string(), warning: z.string().nullable() }))
    .default([]),
  deviceStates: z
    .array(z.object({ state: z.string(), count: z.number() }))
    .describe('How many devices are in each state, as `device list` shows them; those that are gone do not count.')
    .default([]),
  unansweredDevices: z
    .number()
    .describe('Devices that repeatedly received the same command without answering.')
    .default(0),
  failingNotices: z
    .array(z.object({ target: z.string(), waiting: z.number(), failures: z.number(), lastError: z.string() }))
    .describe('Targets of notices that cannot be told at the moment.')
    .default([]),
  scheduledBackups: z
    .array(
      z.object({
        host: z.string(),
        daily: z.string(),
        zone: z.string().describe('The time zone of `daily`: the host’s own.'),
        folder: z.string(),
        keep: z.number().nullable(),
        verifies: z.boolean(),
        dueAt: instant,
        goodAt: instant.nullable(),
        goodFile: z.string().nullable(),
        failure: z.string().nullable().describe('Of the last one; null if it was good.'),
        overdue: z.boolean(),
      }),
    )
    .describe('Backups that hosts make by themselves.')
    .default([]),
  openMoves: z.array(
    z.object({ batch: z.string(), purpose: z.string(), state: z.string(), open: z.number(), outOfReach: z.number() }),
  ),
  restored: z
    .object({ backup: z.string(), takenAt: z.string(), restoredAt: z.string(), by: z.string(), paused: z.boolean() })
    .nullable()
    .describe('Set for a domain that was restored from a backup; while it is paused, only its administration runs.')
    .default(null),
  upgrade: z
    .object({
      id: z.string(),
      from: z.string(),
      to: z.string(),
      state: z.string(),
      pausedFrom: z.string().nullable(),
      reason: z.string().nullable(),
      decision: z
        .object({ since: instant, lockedFeatures: z.array(z.string()) })
        .nullable()
        .describe(
          'Once all waves have passed: since when an operator is to finalize or reverse it, and what waits for that.',
        )
        .default(null),
      haltedSince: instant
        .nullable()
        .describe(
          'Since when it does not come to its end: all waves have passed, or it is paused, finalizing or reversing.',
        )
        .default(null),
    })
    .nullable(),
});
export type DomainStatus = z.output<typeof domainStatus>;

const event = z.object({
  id: z.number(),
  at: instant,
  kind: z.string(),
  subject: z.string().nullable(),
  message: z.string(),
});
const filterText = z.string().min(1).max(200).optional();
/** Of the list; those of several kinds have to fit all. */
const eventFilters = {
  kind: filterText.describe('Such as `device-removed`.'),
  subject: filterText.describe('An exact name or id.'),
  account: name.optional().describe('Of the account and its devices.'),
  device: z.uuid().optional(),
  instance: name.optional().describe('By its name or its SRP identifier.'),
  since: instant.optional(),
  until: instant.optional(),
};
const tag = 'domain';

export const domainOperations = {
  status: {
    right: 'status.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/status', tag, summary: 'The domain at a glance' },
    answer: domainStatus,
  },
  listEvents: {
    right: 'events.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/events', tag, summary: 'What happened, newest first; or what happens, live' },
    description:
      'With `Accept: text/event-stream`, events are told as they happen: server-sent events whose data is JSON, with `id`, ' +
      '`topic`, `at`, and `kind`, `subject` and `message` of an event. With the header Last-Event-ID the stream goes on ' +
      'behind that message, or says `reset` if it cannot. Who is limited to groups is told what speaks of their accounts and devices alone. ' +
      'His pages of the list may have fewer events than `limit`: there are more as long as `next` is not null.',
    query: z.object({
      ...eventFilters,
      ...pageQuery(['at'], listLimit(1000).default(100), '-at'),
      topics: topicList.optional().describe('Of a stream, separated by commas; all that you may see by default.'),
    }),
    stream: eventStream,
    answer: z.object({ events: z.array(event), next }),
  },
  /** OpenAPI, which says what else is in it. Asked for without a token. */
  describe: {
    right: 'open',
    ...{ method: 'GET', path: '/openapi.json', tag, summary: 'This description' },
    answer: z.looseObject({ openapi: z.string(), info: z.looseObject({ title: z.string(), version: z.string() }) }),
  },
} as const satisfies Operations;
