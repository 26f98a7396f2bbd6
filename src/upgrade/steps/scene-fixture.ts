/**
 * For tests: a domain of 1.0.0 with an upgrade to 1.1.0 that was started, and everything around its coordinator in
 * play.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import type { PlanOptions } from '../../api/upgrade-options.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { createTestDatabase } from '../../database/database-fixture.ts';
import { runMoveRound } from '../../moves/move-round-fixture.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { registerComponent } from '../../registry/components.ts';
import { startUpgrade, writePlan } from '../operations/operator-actions.ts';
import { readLatestUpgrade, type Upgrade } from '../state/upgrade-store.ts';
import { heldUpgrade } from '../waves/schedule.ts';
import { insertTestDomain, insertTestInstance, insertTestProcess, superviseOnce } from './domain-fixture.ts';
import type { StepContext, UpgradeEffects } from './step-context.ts';

export const operator = { by: 'tester' };
const quickOptions: Partial<PlanOptions> & object = { soakSeconds: 0, fenceGraceMs: 0, wavePercentages: [50, 100] };

export interface Scene {
  url: string;
  db: Database;
  context(name: string, change?: Partial<StepContext>): StepContext;
  /** One turn of everything around the coordinator: supervisors, movers, requests of every account. */
  world(options?: { errors?: boolean; silent?: boolean; maxMoves?: number }): Promise<void>;
  upgrade(): Promise<Upgrade>;
}

/**
 * A domain of 1.0.0 with two instances, planned and started towards another release; each scene has its own database.
 */
export async function scene(
  options: object = {},
  toRelease = '1.1.0',
  given?: { readonly url: string },
): Promise<Scene> {
  const database = given ?? (await createTestDatabase());
  const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 3 });
  after(async () => await db.end({ timeout: 5 }));
  await insertTestDomain(db);
  await insertTestInstance(db, { name: 'east', accounts: 3 });
  await insertTestInstance(db, { name: 'west', accounts: 3 });
  await insertTestProcess(db, { name: 'router', kind: 'router', release: '1.0.0' });
  await insertTestProcess(db, { name: 'admin', kind: 'administration', release: '1.0.0' });
  const order = {
    ...operator,
    target: { release: toRelease, features: [], differences: [] },
    host: 'here',
    features: [],
    platforms: registeredPlatforms,
  };
  await db.begin((tx) => writePlan(tx, { ...order, options: { ...quickOptions, ...options } }));
  await db.begin((tx) => startUpgrade(tx, { ...operator, host: 'here' }));
  const effects: UpgradeEffects = {
    check: async () => [{ name: 'everything', result: 'passed', message: '' }],
    expand: async () => 7,
    distribute: async () => {},
    lacking: async () => [],
    contract: async () => 8,
    issueCredential: async () => {},
  };
  const log = { info: () => {}, warn: () => {} };
  return {
    url: database.url,
    db,
    context: (name, change = {}) => ({
      db,
      release: toRelease,
      name: 'coordinator',
      host: 'here',
      holder: name,
      effects,
      ...change,
    }),
    world: async ({ errors = false, silent = false, maxMoves = 100 } = {}) => {
      await superviseOnce(db);
      const [domain] = await db<{ release: string }[]>`select release from domain`;
      await runMoveRound({
        db,
        release: domain?.release ?? '',
        name: 'mover',
        oweDeliveries: async () => {},
        log,
        drainWindow: async () => maxMoves,
        heldUpgrade,
      });
      if (silent) return;
      await db`
        insert into request_outcome (account_id, instance_id, bucket, router, requests, failed, latency)
        select a.id, a.instance_id, date_bin('10 seconds', now(), 'epoch') - make_interval(secs => 10 * n), 'router', 100, f.failed,
               array[0, 0, 0, 0, 100 - f.failed]
          from account a
          join instance i on i.id = a.instance_id
          join component c on c.name = i.name
         cross join lateral (select c.release = ${toRelease} as is_new) r
         cross join generate_series(case when r.is_new then -3 else 0 end, case when r.is_new then 0 else 3 end) as n
         cross join lateral (select case when ${errors} and r.is_new then 100 else 0 end as failed) f
        on conflict do nothing`;
    },
    upgrade: async () => {
      const upgrade = await readLatestUpgrade(db);
      assert.ok(upgrade);
      return upgrade;
    },
  };
}

/** A window in so many hours from now, and for how many it is open: one that has begun for negative ones. */
export function windowIn(hours: number, length: number): string {
  const hour = (ahead: number) => `${String((new Date().getUTCHours() + ahead + 24) % 24).padStart(2, '0')}:00`;
  return `daily ${hour(hours)}-${hour(hours + length)} UTC`;
}

/** Steps and lets the world go on until the upgrade is in one of the states; at most 200 rounds. */
export async function until(
  { world, upgrade }: Scene,
  context: StepContext,
  states: readonly string[],
  options: Parameters<Scene['world']>[0] = {},
): Promise<Upgrade> {
  for (let round = 0; round < 200; round++) {
    await stepOnce(context);
    await world(options);
    const now = await upgrade();
    if (states.includes(now.state)) return now;
  }
  const last = await upgrade();
  assert.fail(`still ${last.state}, waiting for ${last.progress.waitingFor}, paused for ${last.pauseReason}`);
}

/** The instance's process exits and is restarted this many times, unasked, as a new process each time. */
export async function endUnasked(db: Database, name: string, times: number): Promise<void> {
  const [instance] = await db<
    { release: string }[]
  >`select release from component where kind = 'server' and name = ${name}`;
  assert.ok(instance);
  for (let count = 0; count < times; count++) {
    // An unasked end is noticed by a lease that grows, and this one must not expire meanwhile.
    await db`update component set lease_until = clock_timestamp() + interval '5 seconds' where name = ${name}`;
    const identity = { name, kind: 'server' as const, host: 'here', bootId: 'boot', processId: nextProcessId++ };
    const component = { ...identity, release: instance.release, linkVersions: [1], features: [], loopbackUrl: null };
    await registerComponent(db, component, { leastSchemaVersion: 1 });
  }
  await db`update component set lease_until = now() + interval '1 hour' where name = ${name}`;
}
let nextProcessId = 101;

/** How many accounts are at the instances whose name fits. */
export const countAt = async (db: Database, pattern: string) =>
  (await db`select 1 from account a join instance i on i.id = a.instance_id where i.name like ${pattern}`).length;

const moments = ['before', 'during', 'after'] as const;

/**
 * Steps until the upgrade is in one of the states; the coordinator dies at each transaction that the way has: before it, when it is
 * about to be committed, and after that, once each. The next one goes on from the row. Returns the names of the steps.
 */
export async function killEverywhere(it: Scene, states: readonly string[]): Promise<string[]> {
  const killed = new Set<string>();
  for (let round = 0; round < 400; round++) {
    const observe: StepContext['observe'] = (step, when) => {
      if (killed.has(`${step} ${when}`)) return;
      killed.add(`${step} ${when}`);
      throw new Error('killed');
    };
    // The dead one's lease runs out by the database's clock.
    await it.db`update upgrade set lease_until = clock_timestamp() - interval '1 second'`;
    await stepOnce(it.context(`c${round}`, { observe })).catch((error: Error) => {
      if (error.message !== 'killed') throw error;
    });
    await it.world();
    if (states.includes((await it.upgrade()).state)) break;
  }
  const steps = [...new Set([...killed].map((each) => each.split(' ')[0] ?? ''))];
  const missed = steps.flatMap((step) => moments.map((when) => `${step} ${when}`)).filter((each) => !killed.has(each));
  assert.deepEqual(missed, [], 'it died in each of them at each moment');
  return steps;
}
