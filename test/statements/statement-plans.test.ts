/**
 * No statement of a hot path gets slower with the size of the domain, or because the planner knows nothing of the rows yet: all
 * of them are executed on a thousand times the rows, before and after statistics, planned for their parameters and for any.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import type { Upgrade } from '../../src/upgrade/state/upgrade-store.ts';
import type { HotStatement, Subjects } from './hot-statement.ts';
import { hotModules, hotStatements, seldom } from './hot-statements.ts';
import { analyzeAll, analyzeAtRest, fillLargeDomain, type LargeDomain, largeTables } from './large-domain.ts';
import { type ExecutedStatement, type PlanStep, watchPlans } from './plans.ts';

const accounts = 20_000;
/** As many as a batch of connects takes. */
const subjectsAtOnce = 48;

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
after(async () => await db.end());

async function subjectsOf(domain: LargeDomain): Promise<Subjects> {
  const { upgradeId } = domain;
  const devices = await db<{ accountId: string; deviceId: string; token: string; name: string }[]>`
    select a.id as "accountId", d.id as "deviceId", d.token, a.name
      from account a join device d on d.account_id = a.id
     order by (a.epoch = 2) desc, a.name limit ${subjectsAtOnce}`;
  const deliveries = await db<{ id: string }[]>`
    select id from delivery where state = 'released' order by id limit ${subjectsAtOnce}`;
  const [queued] = await db<[Subjects['queued']]>`
    select id as "moveId", batch_id as "batchId", account_id as "accountId", from_instance_id as "fromInstanceId",
           to_instance_id as "toInstanceId", attempts
      from account_move where state = 'queued' order by id limit 1`;
  const nothing = { commandId: null, answer: null, inventory: null, options: null };
  return {
    ...domain,
    upgrade: { id: upgradeId, toRelease: '1.1.0' } as Upgrade,
    requests: devices.map(({ token, name }) => ({
      ...{ token, fingerprint: `print-${name}`, enrolment: `udid-${name}`, overTls: true, status: 'idle', ...nothing },
    })),
    accountIds: devices.map(({ accountId }) => accountId),
    deviceIds: devices.map(({ deviceId }) => deviceId),
    deliveryIds: deliveries.map(({ id }) => id),
    queued,
  };
}

/** What each statement went through beyond its measure; empty when all is well. */
function excessOf({ name, maxRows }: HotStatement, executed: readonly ExecutedStatement[]): string[] {
  const most = typeof maxRows === 'number' ? maxRows : maxRows.perAccount * accounts;
  return executed.flatMap(({ text, steps, rows, tableRows }) => {
    const whole = typeof maxRows === 'number' ? steps.filter(isOverAll).map(({ over }) => `all of ${over}`) : [];
    const faults = [
      ...whole,
      ...(tableRows > most ? [`${tableRows} rows of tables where ${most} are allowed`] : []),
      ...(rows > 8 * most ? [`${rows} rows in all where ${8 * most} are allowed`] : []),
    ];
    if (faults.length === 0) return [];
    const plan = steps.map((step) => `${step.how} ${step.over ?? ''}: ${step.rows}`).join('\n    ');
    return [`${name}: ${faults.join(', ')}\n  ${text.trim().slice(0, 300)}\n    ${plan}`];
  });
}

function isOverAll({ how, over = '' }: PlanStep): boolean {
  return how === 'Seq Scan' && largeTables.includes(over);
}

test('no statement of the hot paths is left out', () => {
  const known = new Set<unknown>([...hotStatements.flatMap(({ of }) => of), ...seldom]);
  const missing = Object.entries(hotModules).flatMap(([module, exported]) =>
    Object.entries(exported)
      .filter(([, value]) => typeof value === 'function' && !known.has(value))
      .map(([name]) => `${module}.${name}`),
  );
  assert.deepEqual(missing, []);
});

describe('with 20,000 accounts that the planner knows nothing of, then with statistics', { timeout: 600_000 }, () => {
  let subjects: Subjects;
  before(async () => {
    subjects = await subjectsOf(await fillLargeDomain(db, accounts));
  });
  const faultsOf = async (mode: 'force_custom_plan' | 'force_generic_plan', statements: readonly HotStatement[]) => {
    const plans = await watchPlans(url, mode);
    const faults: string[] = [];
    try {
      for (const statement of statements) {
        const executed = await plans.watch(
          (q) => statement.run(q, subjects),
          (q) => statement.before?.(q, subjects) ?? Promise.resolve(),
        );
        assert.ok(executed.length > 0, `${statement.name} executes nothing`);
        faults.push(...excessOf(statement, executed));
      }
    } finally {
      await plans.end();
    }
    return faults.join('\n');
  };
  for (const mode of ['force_custom_plan', 'force_generic_plan'] as const) {
    test(`without statistics, ${mode}`, async () => assert.equal(await faultsOf(mode, hotStatements), ''));
  }
  for (const mode of ['force_custom_plan', 'force_generic_plan'] as const) {
    test(`with statistics, ${mode}`, async () => {
      await analyzeAll(db);
      assert.equal(await faultsOf(mode, hotStatements), '');
    });
  }
  for (const mode of ['force_custom_plan', 'force_generic_plan'] as const) {
    test(`with statistics of deliveries from before anything was owed, ${mode}: moves`, async () => {
      await analyzeAtRest(db);
      const ofMoves = hotStatements.filter(({ name }) => name.startsWith('moves: '));
      assert.equal(await faultsOf(mode, ofMoves), '');
    });
  }
});
