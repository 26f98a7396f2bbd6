/**
 * The progress of an upgrade: its state and waits, waves with their figures, deliveries, what was held back, features
 * and what locks each. 1.1 does not send the members that have a default.
 */
import * as z from 'zod';
import { feature } from './components.ts';
import { freeForm, instant, word } from './shapes.ts';
import { supervisor } from './supervisors.ts';
import { checkResultSchema, upgradePlanSchema, waveGateShape } from './upgrade-plan.ts';

/** Of everything that an open upgrade waits for. */
const upgradeWait = z.object({
  what: z.string(),
  why: z.string(),
  since: instant.nullable(),
  who: z.array(z.string()).describe('Processes, sessions, accounts or devices, by name; the first twenty.'),
  until: instant
    .nullable()
    .describe('When it ends by itself at the latest, where that is known; the soak of a wave: at the earliest.'),
  command: z.string().nullable().describe('What ends it, or shows more.'),
});
export type UpgradeWait = z.output<typeof upgradeWait>;

const checkResult = checkResultSchema.extend({ result: word(...checkResultSchema.shape.result.options) });

const gate = waveGateShape.extend({
  answer: word('pass', 'fail', 'undecided').optional(),
  reason: z.string().optional().describe('The reasons in one text.'),
});

const wave = z.object({
  number: z.number(),
  name: z.string(),
  state: z.string(),
  gate: gate.nullable(),
  startedAt: instant.nullable(),
  soakingAt: instant.nullable(),
  soaksUntil: instant
    .nullable()
    .default(null)
    .describe('While it is observed: the earliest time at which its gate lets it pass.'),
  finishedAt: instant.nullable(),
  accounts: z.number(),
  settled: z.number().describe('At their destination, every delivery answered.'),
  moves: z.object({
    accounts: z.number(),
    settled: z.number(),
    outOfReach: z.number().describe('At their destination, devices woken that did not come: no wave waits for them.'),
    delivering: z.number().describe('Moved, deliveries open.'),
    underWay: z.number().describe('Not moved yet, with an open move.'),
    waiting: z.number().describe('Not moved and without an open move that can end.'),
    failed: z.number().describe('Whose last move failed since the wave was last started or resumed.'),
  }),
});

const replacement = z.object({
  name: z.string(),
  host: z.string(),
  wave: z.number(),
  beganAt: z.string().nullable(),
  atWorkAt: z.string().nullable(),
});

const deliveryCount = z.object({
  item: z.string(),
  direction: word('onward', 'back').describe('Which way the account went.'),
  done: z.number(),
  failed: z.number(),
  open: z.number(),
  suspects: z.number(),
});

/** Before the waves. What a rehearsal measured is of the copy; what waves take is a minimum, by the rates of the domain. */
export const expectedTimes = z.object({
  rehearsed: z
    .object({
      at: z.string(),
      takenAt: z.string().describe('When the backup was taken; both times are ISO 8601.'),
      awaySeconds: z.number().describe('From the last answer of the administration to the first of the new release.'),
      expandSeconds: z.number().describe('Of that: expanding the schema.'),
      backfills: z.array(z.object({ migration: z.string(), rows: z.number(), seconds: z.number() })),
    })
    .nullable()
    .describe(
      'Measured by the newest rehearsal of this upgrade on this host; null if there is none, or it said no go.',
    ),
  waves: z
    .object({ count: z.number(), sendSeconds: z.number(), soakSeconds: z.number(), leastSeconds: z.number() })
    .nullable()
    .describe(
      'Sending under the plan’s budget, observing each wave, and both together; null once the checks have passed.',
    ),
});
export type ExpectedTimes = z.output<typeof expectedTimes>;

export const releasePair = z.object({ from: z.string(), to: z.string() });

export const upgradeReport = z.object({
  id: z.string(),
  release: releasePair,
  fromRelease: z.string(),
  toRelease: z.string(),
  state: z.string(),
  pausedFrom: z.string().nullable(),
  position: z.string().describe('Such as `paused in moving`.'),
  pauseReason: z.string().nullable(),
  waitingFor: z.string().nullable().describe('What the coordinator’s last step reported; `waits` has the full list.'),
  waits: z.array(upgradeWait).optional(),
  coordinator: z.object({ holder: z.string().nullable(), atWork: z.boolean() }),
  createdAt: instant,
  finishedAt: instant.nullable(),
  seconds: z.number().describe('From planned to the end, or to now.'),
  plan: upgradePlanSchema,
  expected: expectedTimes.optional().describe('Until the administration is back.'),
  checks: z.array(checkResult).optional(),
  newInstances: z.array(z.object({ name: z.string(), replaces: z.string() })),
  replacements: z
    .array(replacement)
    .describe('In place: when the replacement of each instance began, and when all of its processes were running.')
    .default([]),
  accounts: z.object({ moved: z.number(), reversed: z.number(), failed: z.number(), atOldRelease: z.number() }),
  notBack: z
    .array(z.string())
    .describe('Reversed in place: processes that are not yet running the previous release again.')
    .default([]),
  emptied: z
    .array(z.string())
    .describe('After the upgrade: instances that it emptied and that have not been retired. They serve no accounts.')
    .default([]),
  waves: z.array(wave),
  deliveries: z.array(deliveryCount),
  supervisors: z.array(supervisor).default([]),
  heldBack: z.array(
    z.object({ instance: z.string(), reason: z.string(), waiting: z.number(), heldSeconds: z.number() }),
  ),
  features: z.array(feature),
  phases: z
    .array(z.object({ state: z.string(), at: instant, seconds: z.number() }))
    .describe('Seconds spent in each state, in the order in which the states were entered.'),
  events: z.array(z.object({ id: z.number(), at: instant, state: z.string(), message: z.string(), detail: freeForm })),
});
export type UpgradeReport = z.output<typeof upgradeReport>;
