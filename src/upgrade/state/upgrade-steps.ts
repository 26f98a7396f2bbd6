/**
 * How far an upgrade has come, within its states: steps, each of which is done once, in one transaction with its
 * effect.
 *
 *   to-start ⇄ started → administrations-stopped → administrations-started → feature-level-raised
 *                                   │                        │
 *                                   └───── reversing ────────┴─▶ instances-retired → instances-removed
 *                                                            └──(no instance was added)──┐   │
 *                                                                                        ▼   ▼
 *                                          old-administrations-started ◀── new-administrations-stopped
 *
 * In the column `progress` they are separate fields, which every release since 1.0 writes and reads: the step is the
 * last one that is set, and reaching a step sets its field in addition to those of the steps before.
 */
import type { UpgradeProgressRow, WantedProcess } from './upgrade-plan.ts';

/** Administration services as they were before the release fence, for the way back. */
interface AfterFence {
  readonly administrations: readonly WantedProcess[];
}

type UpgradeStep =
  /** Waiting for an operator to start it, for the first time or after a failed check. */
  | { readonly at: 'to-start' }
  | { readonly at: 'started' }
  /** Those of the old release have to stop before the release fence can close. */
  | ({ readonly at: 'administrations-stopped' } & AfterFence)
  /** Those of the new release have to start. */
  | ({ readonly at: 'administrations-started' } & AfterFence)
  | ({ readonly at: 'feature-level-raised' } & AfterFence)
  /** Reversing: no account is at a new instance, and none can be moved there. */
  | ({ readonly at: 'instances-retired' } & AfterFence)
  | ({ readonly at: 'instances-removed' } & AfterFence)
  | ({ readonly at: 'new-administrations-stopped' } & AfterFence)
  | ({ readonly at: 'old-administrations-started' } & AfterFence);

export type StepName = UpgradeStep['at'];

/** In their order, with the steps that may follow each. */
export const stepFollowers: Readonly<Record<StepName, readonly StepName[]>> = {
  'to-start': ['started'],
  started: ['to-start', 'administrations-stopped'],
  'administrations-stopped': ['administrations-started', 'instances-retired', 'new-administrations-stopped'],
  'administrations-started': ['feature-level-raised', 'instances-retired', 'new-administrations-stopped'],
  'feature-level-raised': [],
  'instances-retired': ['instances-removed'],
  'instances-removed': ['new-administrations-stopped'],
  'new-administrations-stopped': ['old-administrations-started'],
  'old-administrations-started': [],
};
const order = Object.keys(stepFollowers) as StepName[];

/** Whether the step is `name` or a later one. */
export function hasReached(step: UpgradeStep, name: StepName): boolean {
  return order.indexOf(step.at) >= order.indexOf(name);
}

/** Whether `next` is `step`, or can be reached from it. */
export function canReach(step: UpgradeStep, next: StepName): boolean {
  return step.at === next || stepFollowers[step.at].includes(next);
}

/** The steps that know the administrations, last one first, each with the field that records it. */
const fields = [
  ['old-administrations-started', 'oldAdministrationStarted'],
  ['new-administrations-stopped', 'newAdministrationStopped'],
  ['instances-removed', 'newInstancesRemoved'],
  ['instances-retired', 'newInstancesRetired'],
  ['feature-level-raised', 'featureLevelRaised'],
  ['administrations-started', 'administrationsStarted'],
] as const satisfies readonly (readonly [StepName, keyof UpgradeProgressRow])[];

/** The step of a row, whichever release wrote it. */
export function stepOfRow(row: UpgradeProgressRow): UpgradeStep {
  const { administrations } = row;
  const reached = fields.find(([, field]) => row[field] === true);
  if (reached !== undefined) return { at: reached[0], administrations: administrations ?? [] };
  if (administrations !== undefined) return { at: 'administrations-stopped', administrations };
  return { at: row.started ? 'started' : 'to-start' };
}

/** The fields to add to a row that reaches `step`. */
export function fieldsOfStep(step: ReachedStep): Partial<UpgradeProgressRow> {
  if (step.at === 'to-start' || step.at === 'started') return { started: step.at === 'started' };
  if (step.at === 'administrations-stopped') return { administrations: [...step.administrations] };
  const field = fields.find(([at]) => at === step.at)?.[1];
  return field === undefined ? {} : { [field]: true };
}

/** A step to be reached. The administrations are given once, and kept. */
export type ReachedStep =
  | Extract<UpgradeStep, { at: 'administrations-stopped' }>
  | { readonly at: Exclude<StepName, 'administrations-stopped'> };

export function administrationsBefore(step: UpgradeStep): readonly WantedProcess[] {
  return 'administrations' in step ? step.administrations : [];
}

type StepField = 'started' | 'administrations' | (typeof fields)[number][1];
/** What `progress` holds besides the step: who asked, what was checked, made and chosen. */
export type UpgradeFacts = {
  [Name in keyof UpgradeProgressRow as string extends Name
    ? never
    : Exclude<Name, StepField>]: UpgradeProgressRow[Name];
};
export type UpgradeProgress = UpgradeFacts & { readonly step: UpgradeStep };

export function progressOfRow(row: UpgradeProgressRow): UpgradeProgress {
  return { ...row, step: stepOfRow(row) };
}
