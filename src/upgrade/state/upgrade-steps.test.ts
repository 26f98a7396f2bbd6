/**
 * The step of an upgrade and the fields of its row. The rows are those that 1.2.1 wrote, one for each set of fields that it sets:
 * noted while its own tests of the coordinator drove upgrades, patches and reversals.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { type UpgradeProgressRow, upgradeProgressSchema } from './upgrade-plan.ts';
import { canReach, fieldsOfStep, type ReachedStep, type StepName, stepFollowers, stepOfRow } from './upgrade-steps.ts';

interface NotedRow {
  readonly state: string;
  readonly inPlace: boolean;
  readonly progress: Record<string, unknown>;
}
const noted = JSON.parse(
  readFileSync(new URL('progress-rows-fixture.json', import.meta.url), 'utf8'),
) as readonly NotedRow[];

const stepNames = Object.keys(stepFollowers) as StepName[];
const stepFields = [
  ...['started', 'administrations', 'administrationsStarted', 'featureLevelRaised', 'newInstancesRetired'],
  ...['newInstancesRemoved', 'newAdministrationStopped', 'oldAdministrationStarted'],
];
const administrations = [
  {
    name: 'admin',
    kind: 'administration' as const,
    host: 'here',
    release: '1.2.1',
    state: 'running' as const,
    settings: {},
  },
];

const stepFieldsOf = (row: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(row).filter(([name]) => stepFields.includes(name)));

const reached = (at: StepName): ReachedStep => (at === 'administrations-stopped' ? { at, administrations } : { at });

/** The row after each of these steps was reached in turn. */
function rowAfter(steps: readonly StepName[]): UpgradeProgressRow {
  const written = Object.assign({}, ...steps.map((at) => fieldsOfStep(reached(at))));
  return upgradeProgressSchema.parse(JSON.parse(JSON.stringify(written)));
}

/** Every way through the steps that is not turned back. */
function coursesFrom(step: StepName, before: readonly StepName[] = []): StepName[][] {
  const course = [...before, step];
  const next = stepFollowers[step].filter((follower) => !course.includes(follower));
  return [course, ...next.flatMap((follower) => coursesFrom(follower, course))];
}
const courses = coursesFrom('to-start');

test('a row of 1.2.1 is read as the last step that it says was reached', () => {
  const steps = noted.map(({ state, inPlace, progress }) => [
    `${state}${inPlace ? ' in place' : ''}`,
    stepOfRow(upgradeProgressSchema.parse(progress)).at,
  ]);
  assert.deepEqual(steps, [
    ['planned', 'to-start'],
    ['planned', 'started'],
    ['checked', 'administrations-stopped'],
    ['expanded', 'administrations-started'],
    ['expanded', 'administrations-started'],
    ['done', 'feature-level-raised'],
    ['reversing', 'instances-retired'],
    ['reversing', 'instances-removed'],
    ['reversing', 'new-administrations-stopped'],
    ['reversed', 'old-administrations-started'],
    ['planned in place', 'to-start'],
    ['planned in place', 'started'],
    ['checked in place', 'administrations-stopped'],
    ['expanded in place', 'administrations-started'],
    ['reversing in place', 'new-administrations-stopped'],
    ['reversing in place', 'new-administrations-stopped'],
    ['reversed in place', 'old-administrations-started'],
    ['reversed in place', 'old-administrations-started'],
  ]);
});

test('what is written of a course of steps is, field by field, what 1.2.1 wrote of the same', () => {
  const ours = courses.map((course) =>
    Object.keys(stepFieldsOf(rowAfter(course)))
      .sort()
      .join(),
  );
  for (const { progress } of noted) {
    const fields = Object.keys(stepFieldsOf({ started: false, ...progress })).sort();
    assert.ok(ours.includes(fields.join()), fields.join());
    for (const field of fields.filter((name) => name !== 'administrations' && name in progress)) {
      assert.equal(progress[field], true);
    }
  }
});

test('whatever course was taken, its row is read as the step that it ended with, and the administrations are kept', () => {
  for (const course of courses) {
    const step = stepOfRow(rowAfter(course));
    assert.equal(step.at, course.at(-1), course.join(' → '));
    if ('administrations' in step) assert.deepEqual(step.administrations, administrations);
  }
  assert.deepEqual(new Set(courses.flat()), new Set(stepNames), 'every step is reached by some course');
});

test('a step is taken back only where the checks stop a start; only the last ones lead nowhere', () => {
  fc.assert(
    fc.property(fc.constantFrom(...stepNames), fc.constantFrom(...stepNames), (from, to) => {
      const can = canReach(stepOfRow(rowAfter(courses.find((course) => course.at(-1) === from) ?? [])), to);
      assert.equal(can, from === to || stepFollowers[from].includes(to));
      if (can && stepNames.indexOf(to) < stepNames.indexOf(from)) assert.deepEqual([from, to], ['started', 'to-start']);
    }),
  );
  const last = stepNames.filter((name) => stepFollowers[name].length === 0);
  assert.deepEqual(last, ['feature-level-raised', 'old-administrations-started']);
});
