import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';
import { stateMachine } from './state-machine.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 1 });
after(async () => await db.end());

const light = stateMachine({
  initial: ['red'],
  transitions: { red: ['green'], green: ['red', 'put-out'], 'put-out': [] },
  sets: { lit: ['red', 'green'] },
});

test('a set is a list in the text of the statement, with the alias of its row, and takes no parameter', async () => {
  const rows = await db`
    select name from (values ('a', 'red'), ('b', 'put-out')) l(name, state)
     where ${light.in(db, 'lit', 'l')} and not ${light.notIn(db, 'lit')}`;
  assert.deepEqual(
    rows.map(({ name }) => name),
    ['a'],
  );
  assert.match(rows.statement.string, /l\.state in \('red', 'green'\) and not state not in \('red', 'green'\)$/);
});

test('states that the program chooses are a list in the text, too; none, and those of another machine, are refused', async () => {
  const rows = await db`
    select name from (values ('a', 'red'), ('b', 'put-out')) l(name, state) where ${light.among(db, ['put-out'], 'l')}`;
  assert.deepEqual(
    rows.map(({ name }) => name),
    ['b'],
  );
  assert.match(rows.statement.string, /l\.state in \('put-out'\)$/);
  assert.throws(() => light.among(db, []), TypeError);
  assert.throws(() => light.among(db, ["red') or true --" as 'red']), TypeError);
});

test('what could end a literal or a name is refused', () => {
  assert.throws(() => stateMachine({ initial: [], transitions: { "it's": [] }, sets: {} }), TypeError);
  assert.throws(() => light.in(db, 'lit', 'l; drop table l --'), TypeError);
});

test('a state becomes what follows it, or stays; nothing follows a final one', () => {
  assert.deepEqual([light.canBecome('red', 'green'), light.canBecome('red', 'red')], [true, true]);
  assert.deepEqual([light.canBecome('red', 'put-out'), light.canBecome('put-out', 'red')], [false, false]);
  assert.deepEqual([light.isFinal('put-out'), light.isFinal('green')], [true, false]);
});
