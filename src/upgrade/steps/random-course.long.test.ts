import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Database } from '../../database/connection.ts';
import { assertNotedWithin, noteTransitions } from '../../database/state-log-fixture.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { endingWithin } from '../../testing/property.ts';
import {
  finalizeByOperator,
  pauseByOperator,
  resumeByOperator,
  reverseByOperator,
} from '../operations/operator-actions.ts';
import { changeByOperator } from '../operations/options-change.ts';
import {
  isFinal,
  type UpgradePosition,
  type UpgradeState,
  undoTransition,
  upgradeStates,
} from '../state/upgrade-states.ts';
import { waveStates } from '../state/wave-states.ts';
import { operator, type Scene, scene } from './scene-fixture.ts';
import type { StepContext } from './step-context.ts';
import { assertWhole } from './whole-domain-fixture.ts';

const happening = fc.oneof(
  { weight: 6, arbitrary: fc.constant('step' as const) },
  { weight: 3, arbitrary: fc.constant('kill-before' as const) },
  { weight: 3, arbitrary: fc.constant('kill-during' as const) },
  { weight: 3, arbitrary: fc.constant('kill-after' as const) },
  { weight: 1, arbitrary: fc.constant('pause' as const) },
  { weight: 2, arbitrary: fc.constant('resume' as const) },
  { weight: 1, arbitrary: fc.constant('create' as const) },
  { weight: 1, arbitrary: fc.constant('delete' as const) },
  { weight: 1, arbitrary: fc.constant('destination' as const) },
);
type Happening = typeof happening extends fc.Arbitrary<infer One> ? One : never;

/** One thing that happens; what an operator may not say in this state is refused, and that is right. */
async function carryOut(it: Scene, what: Happening, round: number): Promise<void> {
  const refused = () => undefined;
  if (what === 'pause') await it.db.begin((tx) => pauseByOperator(tx, operator)).catch(refused);
  else if (what === 'resume') await it.db.begin((tx) => resumeByOperator(tx, operator)).catch(refused);
  else if (what === 'create') await createSomewhere(it.db, round);
  else if (what === 'destination') await addDestination(it.db).catch(refused);
  else if (what === 'delete') await it.db`delete from account where name = ${`new-${round - 7}`}`;
  else {
    // A dead coordinator's lease runs out; the next one is another process.
    await it.db`update upgrade set lease_until = clock_timestamp() - interval '1 second'`;
    const observe: StepContext['observe'] = (_step, when) => {
      if (what === `kill-${when}`) throw new Error('killed');
    };
    await stepOnce(it.context(`c${round}`, { observe })).catch((error: Error) => {
      if (error.message !== 'killed') throw error;
    });
  }
  await it.world();
}

/** Another one for the accounts of east. */
async function addDestination(db: Database): Promise<void> {
  const order = { ...operator, platforms: registeredPlatforms, host: 'here' };
  await db.begin((tx) => changeByOperator(tx, { ...order, change: { addDestinations: { east: [{}] } } }));
}

/** As the directory places it: at the instance with the fewest accounts. */
async function createSomewhere(db: Database, round: number): Promise<void> {
  await db`
    with made as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), ${`new-${round}`}, '', i.id from instance i where i.retired_at is null
       order by (select count(*) from account a where a.instance_id = i.id), i.name limit 1
      returning id, epoch, instance_id)
    insert into account_epoch (account_id, epoch, instance_id) select id, epoch, instance_id from made`;
}

/** What happens, and when an operator reverses: in which round, or as soon as the upgrade is in which state. */
type Course = [happenings: Happening[], reverseAt: number | UpgradeState | undefined];

const repeated = (...some: readonly Happening[]) => Array.from({ length: 90 / some.length }, () => some).flat();

/** Together they take every transition that can be counted on here, however the random ones go. */
const courses: Course[] = [
  [repeated('step', 'pause', 'resume'), undefined],
  [repeated('step', 'pause'), 'paused'],
  ...upgradeStates.states
    .filter((state) => undoTransition({ state, pausedFrom: null } as UpgradePosition) !== undefined)
    .map((state): Course => [repeated('step'), state]),
];

const machines = { upgrade: upgradeStates, upgrade_wave: waveStates };
/** For these it takes an instance that is made late, an account moved away, a domain without accounts, or a gate that finds fault. */
const notHere: Readonly<Record<keyof typeof machines, readonly string[]>> = {
  upgrade: ['all-moved → moving', 'soaking → moving'],
  upgrade_wave: ['running → passed', 'running → failed', 'soaking → running', 'soaking → failed', 'failed → running'],
};

const ways = [
  { what: 'an upgrade', toRelease: '1.1.0', options: {}, numRuns: 3, courses },
  {
    what: 'an upgrade whose emptied instances become destinations',
    toRelease: '1.1.0',
    options: { reuseInstances: true },
    numRuns: 4,
  },
  {
    what: 'an upgrade that spreads the accounts of one instance over two',
    toRelease: '1.1.0',
    options: { instances: { east: { destinations: [{}, { share: 2 }] } } },
    numRuns: 2,
  },
  { what: 'a patch in place', toRelease: '1.0.1', options: {}, numRuns: 2 },
  { what: 'a patch with moves', toRelease: '1.0.1', options: { inPlace: false }, numRuns: 1 },
];

for (const { what, toRelease, options, numRuns, courses: examples = [] } of ways) {
  test(`whatever is killed, paused, resumed, created and deleted on the way, ${what} ends done or reversed, and whole`, async () => {
    const taken = await endsConsistently(toRelease, options, { numRuns: numRuns + examples.length, examples });
    if (examples.length === 0) return;
    for (const [table, machine] of Object.entries(machines)) {
      const expected = Object.entries(machine.transitions)
        .flatMap(([from, to]) => (to as readonly string[]).map((state) => `${table}: ${from} → ${state}`))
        .filter((transition) => !notHere[table as keyof typeof machines].some((each) => transition.endsWith(each)));
      assert.deepEqual(
        expected.filter((transition) => !taken.has(transition)),
        [],
      );
    }
  });
}

/** @returns every transition that was taken, as `upgrade: planned → checked` */
async function endsConsistently(
  toRelease: string,
  options: object,
  runs: { numRuns: number; examples: Course[] },
): Promise<Set<string>> {
  const taken = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { minLength: 30, maxLength: 90 }),
      fc.option<Course[1], undefined>(fc.integer({ min: 3, max: 80 }), { nil: undefined }),
      async (happenings, reverseAt) => {
        const it = await scene(options, toRelease);
        await noteTransitions(it.db, ['upgrade', 'upgrade_wave']);
        for (const [round, what] of happenings.entries()) {
          if (reverseAt === round || reverseAt === (await it.upgrade()).state)
            await it.db.begin((tx) => reverseByOperator(tx, operator)).catch(() => undefined);
          if (isFinal((await it.upgrade()).state)) break;
          await carryOut(it, what, round);
        }
        for (let round = 1000; !isFinal((await it.upgrade()).state); round++) {
          assert.ok(round < 1450, `it hangs in ${(await it.upgrade()).state}`);
          await carryOut(it, (['step', 'pause', 'resume'] as const)[round % 3] ?? 'step', round);
          await it.db.begin((tx) => finalizeByOperator(tx, operator)).catch(() => undefined);
        }
        if ((await it.upgrade()).state !== 'cancelled') await assertWhole(it, toRelease);
        for (const [table, machine] of Object.entries(machines)) {
          for (const each of await assertNotedWithin(it.db, table, machine)) taken.add(`${table}: ${each}`);
        }
      },
    ),
    { ...runs, ...endingWithin() },
  );
  return taken;
}
