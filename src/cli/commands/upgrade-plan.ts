/** `bramble upgrade plan`: its options are those of the plan. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { AnswerOf } from '../../api/operation.ts';
import { upgradeOperations } from '../../api/upgrade.ts';
import { BrambleError } from '../../base/errors.ts';
import { planText } from '../../upgrade/report/report-text.ts';
import { type AcceptanceFlags, acceptanceOf, acceptanceOptions } from '../acceptance-flags.ts';
import { collectValues, jsonObject, number } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { rejectAccidentalPlan } from '../plan-precautions.ts';

interface PlanFlags extends AcceptanceFlags {
  archive?: string;
  preview: boolean;
  replace: boolean;
  canary?: string[];
  canaryGroup?: string[];
  canaryInstance?: string[];
  canaryPlatform?: string[];
  canarySoftware?: string[];
  wave?: number[];
  soak?: number;
  inPlace?: boolean;
  budget: Record<string, unknown>;
  gate: Record<string, unknown>;
  options?: Record<string, unknown>;
}

export function addUpgradePlanCommand(upgrades: Command, frame: Frame): void {
  example(
    planOptions(
      acceptanceOptions(
        upgrades
          .command('plan [release]')
          .description('plan an upgrade: what it needs, what it sends, how long it takes, which features stay locked'),
      ),
    ).action(async (release: string | undefined, flags: PlanFlags, command) => {
      const body = bodyOf(release, flags);
      if (body['toRelease'] === undefined && body['archive'] === undefined) {
        throw new BrambleError('ERR_USAGE', 'Name the release to upgrade to, or its archive with --archive FILE.');
      }
      await rejectAccidentalPlan(await frame.client(command), body);
      await frame.ask(command, upgradeOperations.plan, { body }, (answer) =>
        plannedText(answer, body['preview'] === true),
      );
    }),
    'bramble upgrade plan 1.2.0 --archive bramble-1.2.0.tgz --canary ada bea --wave 25 50 100 --soak 600',
  );
}

function planOptions(command: Command): Command {
  return command
    .option('--archive <file>', 'archive of the release, on the host of the administration service')
    .option('--preview', 'show the plan without saving or installing anything', false)
    .option('--replace', 'replace a plan that was not started', false)
    .option('--canary <account...>', 'accounts that move first')
    .option('--canary-group <name...>', 'accounts of these groups move first')
    .option('--canary-instance <name...>', 'accounts of these instances move first')
    .option('--canary-platform <name...>', 'accounts with devices of these platforms move first')
    .option(
      '--canary-software <version...>',
      'accounts whose devices have this software move first: 17 is also 17.4. If several of these --canary- options are given, all must hold; ' +
        'accounts named by --canary are added',
    )
    .option('--wave <percent...>', 'percentage of all accounts that have moved at the end of each wave', percentages)
    .option('--soak <seconds>', 'seconds that each wave is observed before its gate decides', number)
    .option(
      '--in-place',
      'patches only, and their default: each instance is replaced under its own name, and no account moves',
    )
    .option('--no-in-place', 'for a patch too, new instances take over the accounts in waves')
    .option(
      '--budget <name=value>',
      'budget of the upgrade; may be repeated: perInstance, perDomain, suspects, perMinuteInstance, perMinuteDomain ' +
        'or suspectAfterSeconds',
      collectValues,
      {},
    )
    .option(
      '--gate <name=value>',
      'gate setting; may be repeated: leastRequests, maxErrorRateDifference, latencyFactor, latencySlackMs, ' +
        'maxFailedDeliveryShare, maxSilentDeliveryShare, patienceSeconds or baselineHours',
      collectValues,
      {},
    )
    .option(
      '--options <json>',
      'options that have no flag of their own, as JSON or @file: canariesPerInstance, waveDeadlineSeconds, fenceGraceMs, ' +
        'readySeconds, instances and oldInstances',
      jsonObject,
    );
}

function plannedText({ plan, release }: AnswerOf<typeof upgradeOperations.plan>, preview: boolean): string {
  const head = release === undefined ? '' : `Upgrade ${release.from} → ${release.to}\n\n`;
  const next = preview
    ? 'Nothing was saved. Run the same command without --preview to save the plan.'
    : 'The plan is saved. Next: `bramble upgrade start`, which runs the checks first.';
  return `${head}${planText(plan)}\n${next}`;
}

function percentages(value: string, previous: number[] | undefined): number[] {
  return [...(previous ?? []), number(value)];
}

function bodyOf(release: string | undefined, flags: PlanFlags): Record<string, unknown> {
  const isGiven = (record: Record<string, unknown>): boolean => Object.keys(record).length > 0;
  return {
    ...flags.options,
    ...(flags.preview ? { preview: true } : {}),
    ...(flags.replace ? { replace: true } : {}),
    ...(release === undefined ? {} : { toRelease: release }),
    ...(flags.archive === undefined ? {} : { archive: resolve(flags.archive) }),
    ...(flags.canary === undefined ? {} : { canaries: flags.canary }),
    ...(flags.canaryGroup === undefined ? {} : { canaryGroups: flags.canaryGroup }),
    ...(flags.canaryInstance === undefined ? {} : { canaryInstances: flags.canaryInstance }),
    ...(flags.canaryPlatform === undefined ? {} : { canaryPlatforms: flags.canaryPlatform }),
    ...(flags.canarySoftware === undefined ? {} : { canarySoftware: flags.canarySoftware }),
    ...(flags.wave === undefined ? {} : { wavePercentages: flags.wave }),
    ...(flags.soak === undefined ? {} : { soakSeconds: flags.soak }),
    ...acceptanceOf(flags),
    ...(flags.inPlace === undefined ? {} : { inPlace: flags.inPlace }),
    ...(isGiven(flags.budget) ? { budget: flags.budget } : {}),
    ...(isGiven(flags.gate) ? { gate: flags.gate } : {}),
  };
}
