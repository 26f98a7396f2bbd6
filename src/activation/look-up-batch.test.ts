import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLookUps } from './look-up-batch.ts';

/** Look-ups whose statements end when they are told to; names that end in `?` are nobody's. */
function held(options: { maxNames?: number; maxWaiting?: number } = {}) {
  const statements: { names: readonly string[]; end: (error?: Error) => void }[] = [];
  const lookUps = createLookUps<string>({
    ...{ maxStatements: 1, ...options },
    find: (names) =>
      new Promise((resolve, reject) => {
        const found = new Map(names.filter((name) => !name.endsWith('?')).map((name) => [name, `the row of ${name}`]));
        statements.push({ names, end: (error) => (error ? reject(error) : resolve(found)) });
      }),
  });
  const endNext = async () => {
    statements.at(-1)?.end();
    await new Promise(setImmediate);
  };
  return { statements, endNext, find: lookUps.find };
}

test('a name is looked up once for all who wait, and after the last of them has asked', async () => {
  const { statements, endNext, find } = held();
  const early = find('anna', 'a');
  const late = Array.from({ length: 1000 }, () => find('anna', 'a'));
  const other = find('bert?', 'b');
  assert.deepEqual(
    statements.map(({ names }) => names),
    [['anna']],
  );
  await endNext();
  assert.equal(await early, 'the row of anna');
  assert.deepEqual(statements[1]?.names, ['anna', 'bert?']);
  await endNext();
  assert.deepEqual([...new Set(await Promise.all(late))], ['the row of anna']);
  assert.equal(await other, undefined);
  assert.equal(statements.length, 2);
});

test('a statement has a bounded number of names, the one that was asked for first before the others', async () => {
  const { statements, endNext, find } = held({ maxNames: 3 });
  const all = ['a', 'b', 'c', 'd', 'e', 'b'].map((name) => find(name, 'sender'));
  for (let count = 0; count < 3; count += 1) await endNext();
  await Promise.all(all);
  assert.deepEqual(
    statements.map(({ names }) => names),
    [['a'], ['b', 'c', 'd'], ['e']],
  );
});

test('when the queue is full, the sender with the most look-ups is refused', async () => {
  const { endNext, find } = held({ maxWaiting: 100 });
  const first = find('first', 'first');
  const flood = Array.from({ length: 1000 }, (_, index) => find(`name ${index % 7}`, 'flood'));
  const second = Array.from({ length: 1000 }, (_, index) => find(`name ${index % 7}`, 'second'));
  const right = find('anna', 'right');
  for (let count = 0; count < 2; count += 1) await endNext();
  assert.equal(await right, 'the row of anna');
  const served = async (all: Promise<unknown>[]) => (await Promise.all(all)).filter((found) => found !== 'busy').length;
  assert.deepEqual([await served(flood), await served(second)], [50, 25]);
  await first;
});

test('a statement that fails fails those who waited for it, and the next one is sent', async () => {
  const { statements, endNext, find } = held();
  const failed = find('anna', 'a');
  const next = find('anna', 'a');
  statements[0]?.end(new Error('broken'));
  await assert.rejects(failed, /broken/);
  await new Promise(setImmediate);
  await endNext();
  assert.equal(await next, 'the row of anna');
});
