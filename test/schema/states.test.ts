/**
 * The machines of states (`*-states.ts`) against the schema: what its checks allow, and what its partial indexes hold. The
 * migrations of sealed releases stay as they are, so the lists stand there once more, and here it is seen that they are the same.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import type { StateMachine } from '../../src/database/state-machine.ts';
import { commandStates } from '../../src/states/command-states.ts';
import { deliveryStates } from '../../src/states/delivery-states.ts';
import { deviceStates } from '../../src/states/device-states.ts';
import { moveBatchStates } from '../../src/states/move-batch-states.ts';
import { moveStates } from '../../src/states/move-states.ts';
import { upgradeStates } from '../../src/upgrade/state/upgrade-states.ts';
import { waveStates } from '../../src/upgrade/state/wave-states.ts';

type Machine = Pick<StateMachine<string, string>, 'states' | 'initial' | 'transitions' | 'sets' | 'isFinal'>;

const machines: Readonly<Record<string, Machine>> = {
  delivery: deliveryStates,
  command: commandStates,
  device: deviceStates,
  account_move: moveStates,
  move_batch: moveBatchStates,
  upgrade_wave: waveStates,
  upgrade: upgradeStates,
};

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 1 });
after(async () => await db.end());

const inOrder = (states: Iterable<string>) => [...states].sort();
const literalsOf = (text: string) => [...text.matchAll(/'([^']*)'/g)].map(([, literal = '']) => literal);

/** The lists, and the single states, that a condition as PostgreSQL writes it compares `state` with. */
function comparisonsOf(condition: string): { states: string[]; negated: boolean }[] {
  const lists = [...condition.matchAll(/\bstate (= ANY|<> ALL) \(ARRAY\[([^\]]*)\]\)/g)];
  const single = [...condition.matchAll(/\bstate (=|<>) ('[^']*')/g)];
  return [...lists, ...single].map(([, operator = '', text = '']) => ({
    states: literalsOf(text),
    negated: operator.startsWith('<>'),
  }));
}

for (const [table, machine] of Object.entries(machines)) {
  describe(table, () => {
    test('the check of the column allows these states, and no others', async () => {
      const checks = await db<{ condition: string }[]>`
        select pg_get_constraintdef(oid) as condition from pg_constraint
         where conrelid = ${table}::regclass and contype = 'c'`;
      const allowed = checks.flatMap(({ condition }) =>
        comparisonsOf(condition).filter(({ states }) => states.length > 1),
      );
      assert.equal(allowed.length, 1, 'one check of `state`');
      assert.deepEqual(inOrder(allowed[0]?.states ?? []), inOrder(machine.states));
    });

    test('each partial index holds one of the sets, or one state', async () => {
      const indexes = await db<{ name: string; condition: string }[]>`
        select c.relname as name, pg_get_expr(i.indpred, i.indrelid) as condition
          from pg_index i join pg_class c on c.oid = i.indexrelid
         where i.indrelid = ${table}::regclass and i.indpred is not null`;
      const sets = Object.values(machine.sets).map((set) => inOrder(set).join());
      for (const { name, condition } of indexes) {
        for (const { states } of comparisonsOf(condition)) {
          const known =
            states.length === 1 ? machine.states.includes(states[0] ?? '') : sets.includes(inOrder(states).join());
          assert.ok(known, `${name}: ${states.join(', ')}`);
        }
      }
    });

    test('every state can be reached, and from every one that is not final an end can be', () => {
      const reached = new Set(machine.initial);
      for (const state of reached) for (const next of machine.transitions[state] ?? []) reached.add(next);
      assert.deepEqual(inOrder(reached), inOrder(machine.states));
      const ending = new Set(machine.states.filter((state) => machine.isFinal(state)));
      assert.ok(ending.size > 0);
      const leadsOn = (state: string) => (machine.transitions[state] ?? []).some((next) => ending.has(next));
      for (let before = -1; before !== ending.size; ) {
        before = ending.size;
        for (const state of machine.states.filter(leadsOn)) ending.add(state);
      }
      assert.deepEqual(inOrder(ending), inOrder(machine.states));
    });
  });
}
