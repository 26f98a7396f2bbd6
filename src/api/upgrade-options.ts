/**
 * What an operator chooses for an upgrade, with the defaults. The shape is tolerant: keys that a later release adds are
 * kept, since the release that plans is the old one and the one that carries the plan out is the new one.
 */
import * as z from 'zod';
import { budgetChangeSchema } from './budget.ts';

const share = z.number().min(0).max(1);

/** When a gate opens. Shares are 0 to 1. */
export const gateSettingsSchema = z.looseObject({
  /** Sufficient number of requests of moved accounts; by default as many as the statistics need. */
  leastRequests: z.number().int().min(1).max(1_000_000).default(30),
  /** How much the share of failed requests may exceed the usual one; by default no significant excess. */
  maxErrorRateDifference: share.default(0.02),
  /** How many times the usual p50, p95 and p99 may be reached … */
  latencyFactor: z.number().min(1).max(1000).default(2),
  /** … where it is more than this many milliseconds longer: below that nobody notices. */
  latencySlackMs: z.number().min(0).max(600_000).default(50),
  /** Absolute bound: failed deliveries of all that were answered. */
  maxFailedDeliveryShare: share.default(0.1),
  /** Absolute bound: devices that took a delivery and do not answer, of all that took one. */
  maxSilentDeliveryShare: share.default(0.25),
  /**
   * Seconds after the soak for the sample to become large enough before the gate answers undecided; by default as long
   * as a wave may take.
   */
  patienceSeconds: z.number().min(0).max(86_400).default(120),
  /** How far back an account's own past counts. */
  baselineHours: z.number().min(0.001).max(720).default(24),
});
export type GateSettings = z.output<typeof gateSettingsSchema>;

/** A new instance; `share` of the accounts, if several take those of one. */
const destinationSchema = z.looseObject({
  name: z.string().optional(),
  host: z.string().optional(),
  share: z.number().int().min(1).max(1000).optional(),
});
export type DestinationWish = z.output<typeof destinationSchema>;

export const planOptionsSchema = z.looseObject({
  /** Names of the accounts that go first; otherwise the first few of each instance. */
  canaries: z.array(z.string().min(1)).max(10_000).default([]),
  /**
   * Accounts that go first with them, by what is said of them: all of it must hold, and of each list one. Versions may be the
   * beginning of one: `17` is also 17.4.
   */
  canaryGroups: z.array(z.string().min(1).max(200)).max(100).default([]),
  canaryInstances: z.array(z.string().min(1).max(200)).max(1000).default([]),
  canaryPlatforms: z.array(z.string().min(1).max(100)).max(20).default([]),
  canarySoftware: z
    .array(
      z
        .string()
        .regex(/^[0-9]+([.][0-9]+)*$/, { message: 'versions are numbers with dots between them, such as 17 or 17.4' }),
    )
    .max(50)
    .default([]),
  canariesPerInstance: z.number().int().min(1).max(1000).default(2),
  /** How much of all accounts has moved when each wave after the canaries ends. */
  wavePercentages: z
    .array(z.number().gt(0).max(100))
    .max(50)
    .refine((list) => list.every((value, index) => index === 0 || value > (list[index - 1] ?? 0)), {
      message: 'must rise from wave to wave',
    })
    .default([25, 50, 100]),
  soakSeconds: z.number().min(0).max(2_592_000).default(600),
  /** A wave that has not settled by then pauses the upgrade. */
  waveDeadlineSeconds: z.number().min(1).max(2_592_000).default(14_400),
  /** When all others of a wave have settled: it goes on without accounts whose devices do not come, pauses, or waits … */
  outOfReach: z.enum(['leave', 'pause', 'wait']).default('leave'),
  /** … unless it waits, only once it has run for this long. */
  outOfReachSeconds: z.number().min(0).max(2_592_000).default(0),
  /**
   * One new instance takes the accounts of the first old one; each emptied one is upgraded in place and takes those of the next. The
   * waves follow the instances, whatever the percentages. By default where instances are on two hosts or more; a plan that was made
   * says which.
   */
  reuseInstances: z.boolean().optional(),
  /** How much one new instance may take. */
  maxAccounts: z.number().int().min(1).max(10_000_000).optional(),
  maxDevices: z.number().int().min(1).max(10_000_000).optional(),
  /** When anything that devices notice may start, such as `Mon-Fri 22:00-05:00 Europe/Vienna`; at any time if there are none. */
  windows: z.array(z.string().min(1).max(200)).max(50).default([]),
  /** How long administration services may take to finish before the release fence ends their transactions. */
  fenceGraceMs: z.number().int().min(0).max(600_000).default(3000),
  gate: gateSettingsSchema.default(() => gateSettingsSchema.parse({})),
  /** Deliveries of the upgrade; without it the domain's budget stays as it is. */
  budget: budgetChangeSchema.optional(),
  /** New instances by the old one's name: the name and host of one, or several destinations that share its accounts. */
  instances: z
    .record(
      z.string(),
      z.looseObject({
        name: z.string().optional(),
        host: z.string().optional(),
        destinations: z.array(destinationSchema).min(1).max(20).optional(),
      }),
    )
    .default({}),
  /**
   * Each instance is replaced under its own name instead of a new one that takes its accounts over. For patches alone, and
   * these go in place unless it says false.
   */
  inPlace: z.boolean().optional(),
  /** How long a process replaced in place may take to become operational. */
  readySeconds: z.number().min(1).max(86_400).default(120),
  /**
   * What happens to the instances that are empty when finalizing: upgraded in place, or stopped and retired. By default retired where
   * emptied instances are reused, or instances are on two hosts or more; a plan that was made says which.
   */
  oldInstances: z.enum(['upgrade', 'retire']).optional(),
});
export type PlanOptions = z.output<typeof planOptionsSchema>;

const { shape } = planOptionsSchema;

/** Options that can be changed on the way; those that are not given stay as they are. */
export const optionsChangeSchema = z.object({
  canaries: shape.canaries.unwrap().optional(),
  canaryGroups: shape.canaryGroups.unwrap().optional(),
  canaryInstances: shape.canaryInstances.unwrap().optional(),
  canaryPlatforms: shape.canaryPlatforms.unwrap().optional(),
  canarySoftware: shape.canarySoftware.unwrap().optional(),
  canariesPerInstance: shape.canariesPerInstance.unwrap().optional(),
  wavePercentages: shape.wavePercentages.unwrap().optional(),
  soakSeconds: shape.soakSeconds.unwrap().optional(),
  waveDeadlineSeconds: shape.waveDeadlineSeconds.unwrap().optional(),
  outOfReach: shape.outOfReach.unwrap().optional(),
  outOfReachSeconds: shape.outOfReachSeconds.unwrap().optional(),
  maxAccounts: shape.maxAccounts,
  maxDevices: shape.maxDevices,
  windows: shape.windows.unwrap().optional(),
  readySeconds: shape.readySeconds.unwrap().optional(),
  oldInstances: shape.oldInstances.unwrap().optional(),
  /** Further destinations by the name of the old instance whose accounts they share with those that there are. */
  addDestinations: z.record(z.string(), z.array(destinationSchema).min(1).max(20)).optional(),
});
export type OptionsChange = z.output<typeof optionsChangeSchema>;
