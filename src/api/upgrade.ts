/** The upgrade of the domain: planned, started, steered, reported; answered by administration services and the coordinator. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { byName, name } from './shapes.ts';
import { typedText } from './typed-text.ts';
import { optionsChangeSchema } from './upgrade-options.ts';
import { upgradePlanSchema } from './upgrade-plan.ts';
import { expectedTimes, releasePair, upgradeReport } from './upgrade-report.ts';

/** The signature findings that an operator accepts by name. */
const acceptance = {
  acceptSigner: z.string().max(200).optional().describe('Fingerprint of a signer to accept.'),
  acceptUnsigned: z.string().max(40).optional().describe('Number of a release to accept without a signature.'),
};
/** Further keys are the plan's options: waves, gates, budget; all have defaults, and unknown ones are refused. */
const target = {
  archive: z.string().max(4096).optional().describe('Absolute path of a release archive on this host.'),
  toRelease: z
    .string()
    .max(40)
    .optional()
    .describe('The release of the archive or, without an archive, one that is already installed.'),
  replace: z.boolean().default(false).describe('Whether to replace a plan that was not started.'),
  ...acceptance,
};
export const planBody = z.looseObject({ ...target, preview: z.boolean().default(false) });
export const startBody = z.looseObject({
  ...target,
  overrides: z
    .union([z.string().transform((text) => text.split(',')), z.array(z.string().max(100)).max(50)])
    .default([])
    .describe('Names of warnings to ignore.'),
});

/** A preview; one of 1.1 does not name the releases. */
const previewedPlan = z.object({
  release: releasePair.optional(),
  plan: upgradePlanSchema,
  expected: expectedTimes.optional(),
});
const tag = 'upgrade';

export const upgradeOperations = {
  show: {
    right: 'upgrade.read',
    ...{ method: 'GET', path: '/upgrade', tag, summary: 'The open upgrade, or the last one' },
    answer: upgradeReport,
  },
  report: {
    right: 'upgrade.read',
    ...{ method: 'GET', path: '/upgrade/report', tag, summary: 'Full report on the upgrade' },
    answer: upgradeReport,
  },
  plan: {
    right: 'upgrade.write',
    furtherRight: 'releases.trust',
    ...{ method: 'POST', path: '/upgrade/plan', tag, summary: 'Plan an upgrade from actual counts' },
    body: planBody,
    answer: z.union([upgradeReport, previewedPlan]),
  },
  start: {
    right: 'upgrade.write',
    furtherRight: 'releases.trust',
    proof: true,
    ...{ method: 'POST', path: '/upgrade/start', tag, summary: 'Start the upgrade' },
    body: startBody,
    answer: upgradeReport,
  },
  change: {
    right: 'upgrade.write',
    ...{ method: 'PATCH', path: '/upgrade/options', tag },
    summary: 'Change options of an upgrade that was started; those that are not given stay as they are',
    body: optionsChangeSchema,
    answer: upgradeReport,
  },
  pause: {
    right: 'upgrade.write',
    ...{ method: 'POST', path: '/upgrade/pause', tag, summary: 'Pause: start nothing new' },
    body: z.object({ reason: typedText(500).optional() }).nullish(),
    answer: upgradeReport,
  },
  resume: {
    right: 'upgrade.write',
    ...{ method: 'POST', path: '/upgrade/resume', tag, summary: 'Resume where it was paused' },
    description:
      'With `acceptGate` also while the gate of an observed wave is undecided: the wave passes on your responsibility.',
    body: z.object({ acceptGate: z.boolean().optional() }).nullish(),
    answer: upgradeReport,
  },
  retry: {
    right: 'upgrade.write',
    ...{ method: 'POST', path: '/upgrade/retry', tag, summary: 'Have only what failed tried again' },
    description: 'Resumes an upgrade that was paused because moves had failed; any other pause stays.',
    answer: z.object({
      moves: z.number().describe('Accounts whose moves are queued again.'),
      deliveries: z.number().describe('Deliveries that devices refused, and are owed again.'),
      pauseReason: z.string().nullable().describe('Why the upgrade is still paused; null if it is not.'),
    }),
  },
  reverse: {
    right: 'upgrade.write',
    ...{ method: 'POST', path: '/upgrade/reverse', tag, summary: 'Go back to the previous release, or cancel' },
    answer: upgradeReport,
  },
  finalize: {
    right: 'upgrade.write',
    ...{ method: 'POST', path: '/upgrade/finalize', tag, summary: 'Finalize: there is no way back' },
    body: z
      .object({
        leaveSupervisors: z
          .array(z.string().min(1).max(253))
          .max(1000)
          .optional()
          .describe('Hosts whose supervisors, of an earlier release, it does not wait for.'),
      })
      .nullish(),
    answer: upgradeReport,
  },
  assignAccount: {
    right: 'upgrade.write',
    ...{ method: 'PUT', path: '/accounts/:name/assignment', tag },
    summary: 'Change where an account moves in the open upgrade',
    params: byName,
    body: z.object({ instance: name, wave: z.number().int().min(1).max(1000).optional() }),
    answer: z.object({ account: z.string(), instance: z.string() }),
  },
} as const satisfies Operations;
