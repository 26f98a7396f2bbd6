/**
 * The shapes of the columns `plan` and `progress`: what planning an upgrade stores, and what its steps record. Both are
 * tolerant, since two releases read them: unknown keys are kept, missing ones have defaults. The plan is stored as it
 * is shown: its shape is that of the API.
 */
import * as z from 'zod';
import { checkResultSchema, instanceOriginSchema, plannedReplacementSchema } from '../../api/upgrade-plan.ts';

const wantedProcessSchema = z.looseObject({
  name: z.string(),
  kind: z.enum(['router', 'server', 'administration', 'connection', 'coordinator']),
  host: z.string(),
  release: z.string(),
  state: z.enum(['running', 'stopped']),
  settings: z.record(z.string(), z.unknown()).default({}),
});
export type WantedProcess = z.output<typeof wantedProcessSchema>;

const newInstanceSchema = z.looseObject({
  name: z.string(),
  instanceId: z.string(),
  replaces: z.string(),
  replacesId: z.string(),
  /** Names of its processes: the instance and its connection services. */
  processes: z.array(z.string()),
  srpIdentifiers: z.array(z.string()).default([]),
  connectionServices: z.array(z.string()).default([]),
  /** Of the accounts that it takes with others; 1 if absent. */
  share: z.number().int().optional(),
  /** To one added by hand only accounts go that are assigned, and reversing leaves it. */
  origin: instanceOriginSchema.default('added'),
  /** A wave that moves accounts to it and whose gate judges it; none yet if it was added later, or took no accounts. */
  wave: z.number().int().optional(),
});
export type NewInstance = z.output<typeof newInstanceSchema>;

const replacementSchema = plannedReplacementSchema.extend({
  instanceId: z.string(),
  /** When the first of its processes was to run the new release, and since when all of them do; ISO 8601. */
  beganAt: z.string().optional(),
  atWorkAt: z.string().optional(),
});
export type Replacement = z.output<typeof replacementSchema>;

const absenceSchema = z.looseObject({ name: z.string(), since: z.string(), until: z.string() });
export type Absence = z.output<typeof absenceSchema>;

/**
 * What has been done, as every release since 1.0 writes and reads it. Each entry is written in the transaction of its
 * effect; those that only record how far the upgrade is are read as one step (upgrade-steps.ts).
 */
export const upgradeProgressSchema = z.looseObject({
  /** An operator started it; withdrawn when a check failed. */
  started: z.boolean().default(false),
  startedBy: z.string().optional(),
  /** ISO 8601; absent where a release before 1.4 took the request. */
  startedAt: z.string().optional(),
  overrides: z.array(z.string()).default([]),
  checks: z.array(checkResultSchema).optional(),
  /** Administration services as they were before the release fence, for the way back. */
  administrations: z.array(wantedProcessSchema).optional(),
  administrationsStarted: z.boolean().optional(),
  newInstances: z.array(newInstanceSchema).default([]),
  /** In place, once the instances are divided into waves. */
  replacements: z.array(replacementSchema).default([]),
  /** Set by an operator before the waves are divided: name of the instance by account name. */
  assignments: z.record(z.string(), z.string()).default({}),
  /** The domain's budget, while the plan's replaces it. */
  budgetBefore: z.record(z.string(), z.unknown()).optional(),
  finalizedBy: z.string().optional(),
  /** Hosts whose supervisors of an earlier release finalizing does not wait for, by an operator's decision. */
  supervisorsLeft: z.array(z.string()).default([]),
  featureLevelRaised: z.boolean().optional(),
  /** Rights of database roles that a patch granted behind its fence. */
  rightsGranted: z
    .array(
      z.looseObject({ role: z.string(), object: z.string(), column: z.string().nullable(), privilege: z.string() }),
    )
    .default([]),
  /** While reversing in place: processes whose previous release did not start in time, so that others went on. */
  passedOver: z.array(z.string()).default([]),
  /** While reversing, in this order. */
  newInstancesRetired: z.boolean().optional(),
  newInstancesRemoved: z.boolean().optional(),
  newAdministrationStopped: z.boolean().optional(),
  oldAdministrationStarted: z.boolean().optional(),
  /** When somebody whom it cannot go on without was last seen to be away, ISO 8601: its clocks run from there. */
  absentUntil: z.string().optional(),
  /** Instances that were away with their hosts, and when: nothing of that time says anything about a release. The last of them. */
  absences: z.array(absenceSchema).default([]),
  /** What the coordinator is waiting for now. */
  waitingFor: z.string().nullable().optional(),
});
export type UpgradeProgressRow = z.output<typeof upgradeProgressSchema>;
