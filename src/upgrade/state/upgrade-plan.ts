/**
 * What is written down when an upgrade is planned, and what its steps leave behind: the shapes of the columns `plan` and
 * `progress`. Both are tolerant, since two releases read them: unknown keys are kept, missing ones have defaults.
 */
import * as z from 'zod';
import { planOptionsSchema } from './plan-options.ts';

const plannedConnectionServiceSchema = z.looseObject({ name: z.string(), replaces: z.string() });

export const plannedInstanceSchema = z.looseObject({
  name: z.string(),
  /** The instance of the old release whose accounts it takes. */
  replaces: z.string(),
  host: z.string(),
  connectionServices: z.array(plannedConnectionServiceSchema).default([]),
});
export type PlannedInstance = z.output<typeof plannedInstanceSchema>;

/** An instance that is replaced in place, with the connection services that follow it. */
const plannedReplacementSchema = z.looseObject({
  name: z.string(),
  host: z.string(),
  /** Names of processes in their order: the instance first. */
  processes: z.array(z.string()),
  wave: z.number().int(),
});
export type PlannedReplacement = z.output<typeof plannedReplacementSchema>;

export const lossSchema = z.looseObject({ what: z.string(), why: z.string() });
export type Loss = z.output<typeof lossSchema>;

/** The plan as it is stored and shown. */
export const upgradePlanSchema = z.looseObject({
  options: planOptionsSchema,
  /** Both releases have one schema, one set of features, one shape of everything stored: the way is shorter. */
  patch: z.boolean().default(false),
  /** Each instance is replaced under its own name and credential, and no account moves. */
  inPlace: z.boolean().default(false),
  replacements: z.array(plannedReplacementSchema).default([]),
  instances: z.array(plannedInstanceSchema).default([]),
  waves: z
    .array(
      z.looseObject({
        number: z.number().int(),
        name: z.string(),
        accounts: z.number().int(),
        /** Requests that its gate is content with. */
        leastRequests: z.number().int(),
      }),
    )
    .default([]),
  /** Beyond what the domain has now. */
  needs: z
    .looseObject({
      computers: z.array(z.string()).default([]),
      processes: z.number().default(0),
      listeningPorts: z.number().default(0),
      memoryMb: z.number().default(0),
      srpCredentials: z.number().default(0),
    })
    .default({ computers: [], processes: 0, listeningPorts: 0, memoryMb: 0, srpCredentials: 0 }),
  sends: z
    .looseObject({
      itPolicies: z.number().default(0),
      serviceBooks: z.number().default(0),
      synchronizations: z.number().default(0),
      /** Least time that sending them takes under the budget. */
      leastMinutes: z.number().default(0),
    })
    .default({ itPolicies: 0, serviceBooks: 0, synchronizations: 0, leastMinutes: 0 }),
  lockedFeatures: z.array(z.looseObject({ name: z.string(), until: z.string() })).default([]),
  losses: z.array(lossSchema).default([]),
  notes: z.array(z.string()).default([]),
});
export type UpgradePlan = z.output<typeof upgradePlanSchema>;

export const checkResultSchema = z.looseObject({
  /** Such as `open-moves`; what `--override` takes. */
  name: z.string(),
  result: z.enum(['passed', 'warning', 'overridden', 'error']),
  message: z.string(),
});
export type CheckResult = z.output<typeof checkResultSchema>;

const wantedProcessSchema = z.looseObject({
  name: z.string(),
  kind: z.enum(['router', 'server', 'administration', 'connection', 'coordinator']),
  host: z.string(),
  release: z.string(),
  state: z.enum(['running', 'stopped']),
  settings: z.record(z.string(), z.unknown()).default({}),
});

export const newInstanceSchema = z.looseObject({
  name: z.string(),
  instanceId: z.string(),
  replaces: z.string(),
  replacesId: z.string(),
  /** Names of its processes: the instance and its connection services. */
  processes: z.array(z.string()),
  srpIdentifiers: z.array(z.string()).default([]),
  connectionServices: z.array(z.string()).default([]),
  /** A wave that brings accounts to it and whose gate judges it; none yet where it came later, or took nobody. */
  wave: z.number().int().optional(),
});
export type NewInstance = z.output<typeof newInstanceSchema>;

export const replacementSchema = plannedReplacementSchema.extend({
  instanceId: z.string(),
  /** When the first of its processes was wanted of the new release, and since when all have been at work; ISO 8601. */
  beganAt: z.string().optional(),
  atWorkAt: z.string().optional(),
});
export type Replacement = z.output<typeof replacementSchema>;

/** What is done, by step. Each entry is written in the transaction that has the effect. */
export const upgradeProgressSchema = z.looseObject({
  /** An operator said start; taken back when a check failed. */
  started: z.boolean().default(false),
  startedBy: z.string().optional(),
  overrides: z.array(z.string()).default([]),
  checks: z.array(checkResultSchema).optional(),
  /** Administration services as they were before the release fence, for the way back. */
  administrations: z.array(wantedProcessSchema).optional(),
  administrationsStarted: z.boolean().optional(),
  newInstances: z.array(newInstanceSchema).default([]),
  /** Of an upgrade in place, once the waves are divided. */
  replacements: z.array(replacementSchema).default([]),
  /** Set by an operator before the waves are divided: name of the instance by account name. */
  assignments: z.record(z.string(), z.string()).default({}),
  /** The domain's budget before the plan's own one took its place. */
  budgetBefore: z.record(z.string(), z.unknown()).optional(),
  finalizedBy: z.string().optional(),
  /** Hosts whose supervisor of an earlier release finalizing does not wait for: an operator said so. */
  supervisorsLeft: z.array(z.string()).default([]),
  featureLevelRaised: z.boolean().optional(),
  /** To database roles behind the fence of a patch. */
  rightsGranted: z
    .array(
      z.looseObject({ role: z.string(), object: z.string(), column: z.string().nullable(), privilege: z.string() }),
    )
    .default([]),
  /** While reversing in place: processes whose release before did not come in time, so that the others went on. */
  passedOver: z.array(z.string()).default([]),
  /** While reversing, in this order. */
  newInstancesRetired: z.boolean().optional(),
  newInstancesRemoved: z.boolean().optional(),
  newAdministrationStopped: z.boolean().optional(),
  oldAdministrationStarted: z.boolean().optional(),
  /** What the coordinator waits for just now. */
  waitingFor: z.string().nullable().optional(),
});
export type UpgradeProgress = z.output<typeof upgradeProgressSchema>;
