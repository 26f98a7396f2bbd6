/** The plan of an upgrade, as it is shown and stored: two releases read it, so that unknown keys are kept and missing ones have defaults. */
import * as z from 'zod';
import { planOptionsSchema } from './upgrade-options.ts';

/** How an instance became a destination: it was added for that, or an emptied one is upgraded in place, or an operator added it on the way. */
export const instanceOriginSchema = z.enum(['added', 'reused', 'by-hand']);

const plannedInstanceSchema = z.looseObject({
  name: z.string(),
  replaces: z.string().describe('The instance of the old release whose accounts it takes.'),
  host: z.string(),
  share: z.number().int().optional().describe('Of the accounts, where several instances take them; 1 if absent.'),
  accounts: z.number().int().optional().describe('Accounts that it takes, counted when planning.'),
  devices: z.number().int().optional().describe('Their active devices.'),
  origin: instanceOriginSchema
    .exclude(['by-hand'])
    .optional()
    .describe('`reused`: it is an old one, upgraded in place once its own accounts have left; `added` if absent.'),
  connectionServices: z.array(z.looseObject({ name: z.string(), replaces: z.string() })).default([]),
});
export type PlannedInstance = z.output<typeof plannedInstanceSchema>;

/** An instance that is replaced in place, with the connection services that follow it. */
export const plannedReplacementSchema = z.looseObject({
  name: z.string(),
  host: z.string(),
  processes: z.array(z.string()).describe('Names of processes in their order: the instance first.'),
  wave: z.number().int(),
});
export type PlannedReplacement = z.output<typeof plannedReplacementSchema>;

const lossSchema = z.looseObject({ what: z.string(), why: z.string() });
export type Loss = z.output<typeof lossSchema>;

const plannedWave = z.looseObject({
  number: z.number().int(),
  name: z.string(),
  accounts: z.number().int(),
  leastRequests: z.number().int().describe('Number of requests that its gate requires.'),
});

const needs = z.looseObject({
  computers: z.array(z.string()).default([]),
  processes: z.number().default(0),
  listeningPorts: z.number().default(0),
  memoryMb: z.number().default(0),
  srpCredentials: z.number().default(0),
});

const sends = z.looseObject({
  itPolicies: z.number().default(0),
  serviceBooks: z.number().default(0),
  synchronizations: z.number().default(0),
  leastMinutes: z.number().default(0).describe('Minimum time needed to send them under the budget.'),
});

export const upgradePlanSchema = z.looseObject({
  options: planOptionsSchema,
  patch: z
    .boolean()
    .default(false)
    .describe('Both releases have the same schema, features and stored data, so the upgrade has fewer steps.'),
  inPlace: z
    .boolean()
    .default(false)
    .describe('Each instance is replaced under its own name and credential, and no account moves.'),
  replacements: z.array(plannedReplacementSchema).default([]),
  instances: z.array(plannedInstanceSchema).default([]),
  waves: z.array(plannedWave).default([]),
  needs: needs
    .default({ computers: [], processes: 0, listeningPorts: 0, memoryMb: 0, srpCredentials: 0 })
    .describe('Beyond what the domain has now.'),
  sends: sends.default({ itPolicies: 0, serviceBooks: 0, synchronizations: 0, leastMinutes: 0 }),
  lockedFeatures: z.array(z.looseObject({ name: z.string(), until: z.string() })).default([]),
  losses: z.array(lossSchema).default([]),
  notes: z.array(z.string()).default([]),
});
export type UpgradePlan = z.output<typeof upgradePlanSchema>;

const checkResults = ['passed', 'warning', 'overridden', 'error'] as const;
export const checkResultSchema = z.looseObject({
  name: z.string().describe('Such as `open-moves`; what `overrides` takes.'),
  result: z.enum(checkResults),
  message: z.string(),
  overriddenBy: z.string().optional().describe('Who overrode its warning, and when (ISO 8601); absent before 1.4.'),
  overriddenAt: z.string().optional(),
});
export type CheckResult = z.output<typeof checkResultSchema>;

/** The last answer of a wave's gate with its figures, which differ between releases, and the values stored with it. */
export const waveGateShape = z.looseObject({
  answer: z.enum(['pass', 'fail', 'undecided']).optional(),
  reasons: z.array(z.string()).optional(),
  at: z.string().optional().describe('When it answered so; both times are ISO 8601.'),
  windowFrom: z.string().optional().describe('Start of the period that is evaluated.'),
  acceptedBy: z.string().optional().describe('Who accepted the wave in place of its gate.'),
});
export type WaveGate = z.output<typeof waveGateShape>;
