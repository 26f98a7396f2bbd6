/** `bramble upgrade plan`: its options are those of the plan. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { AnswerOf } from '../../api/operation.ts';
import { upgradeOperations } from '../../api/upgrade.ts';
import { BrambleError } from '../../base/errors.ts';
import { planText } from '../../upgrade/report/report-text.ts';
import { type AcceptanceFlags, acceptanceOf, acceptanceOptions } from '../acceptance-flags.ts';
import { collectPlaces, collectValues, jsonObject, type Places } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { rejectAccidentalPlan } from '../plan-precautions.ts';
import { type WaveFlags, waveOptions, waveOptionsOf } from './upgrade-options.ts';

interface PlanFlags extends AcceptanceFlags, WaveFlags {
  archive?: string;
  preview: boolean;
  replace: boolean;
  inPlace?: boolean;
  reuseInstances?: boolean;
  budget: Record<string, unknown>;
  gate: Record<string, unknown>;
  place: Places;
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
  const withTarget = command
    .option('--archive <file>', 'archive of the release, on the host of the administration service')
    .option('--preview', 'show the plan without saving or installing anything', false)
    .option('--replace', 'replace a plan that was not started', false);
  return waveOptions(withTarget)
    .option(
      '--reuse-instances',
      'one new instance takes the accounts of the first old one; each emptied one is upgraded in place and takes those of ' +
        'the next, and the last is retired (the default where instances are on two hosts or more)',
    )
    .option('--no-reuse-instances', 'a new instance takes over from each old one')
    .option(
      '--in-place',
      'patches only, and their default: each instance is replaced under its own name, and no account moves',
    )
    .option(
      '--place <instance=host>',
      'the host on which the new instance for this one is to run (default: its own); may be repeated, and for one instance ' +
        'too: its accounts are spread over several, evenly or by shares, as in server-1=berlin:2',
      collectPlaces,
      {},
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

function plannedText({ plan, release, expected }: AnswerOf<typeof upgradeOperations.plan>, preview: boolean): string {
  const head = release === undefined ? '' : `Upgrade ${release.from} → ${release.to}\n\n`;
  const next = preview
    ? 'Nothing was saved. Run the same command without --preview to save the plan.'
    : 'The plan is saved. Next: `bramble upgrade start`, which runs the checks first.';
  return `${head}${planText(plan, expected)}\n${next}`;
}

/** What `--options` says of the same instances stays. */
function placedIn({ place, options }: Pick<PlanFlags, 'place' | 'options'>): Record<string, unknown> {
  const instances = { ...Object(options?.['instances']) };
  for (const [name, places] of Object.entries(place)) {
    const [only, another] = places;
    const chosen = another === undefined && only?.share === undefined ? { ...only } : { destinations: places };
    instances[name] = { ...Object(instances[name]), ...chosen };
  }
  return instances;
}

function bodyOf(release: string | undefined, flags: PlanFlags): Record<string, unknown> {
  const isGiven = (record: Record<string, unknown>): boolean => Object.keys(record).length > 0;
  return {
    ...flags.options,
    ...(flags.preview ? { preview: true } : {}),
    ...(flags.replace ? { replace: true } : {}),
    ...(release === undefined ? {} : { toRelease: release }),
    ...(flags.archive === undefined ? {} : { archive: resolve(flags.archive) }),
    ...waveOptionsOf(flags),
    ...acceptanceOf(flags),
    ...(flags.reuseInstances === undefined ? {} : { reuseInstances: flags.reuseInstances }),
    ...(flags.inPlace === undefined ? {} : { inPlace: flags.inPlace }),
    ...(isGiven(flags.place) ? { instances: placedIn(flags) } : {}),
    ...(isGiven(flags.budget) ? { budget: flags.budget } : {}),
    ...(isGiven(flags.gate) ? { gate: flags.gate } : {}),
  };
}
