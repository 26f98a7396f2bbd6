import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createNameLookups, type NameAddress } from './name-lookups.ts';

const never = new AbortController().signal;
const answer = [{ address: '10.0.0.1', family: 4 }];

/** Lookups that end when told to. */
function slowLookups() {
  const begun: string[] = [];
  const ends = new Map<string, (found: readonly NameAddress[]) => void>();
  const names = createNameLookups(
    (name) =>
      new Promise((resolve) => {
        begun.push(name);
        ends.set(name, resolve);
      }),
  );
  const end = async (name: string) => {
    ends.get(name)?.(answer);
    await turn();
  };
  return { names, begun, end };
}

test('names that do not answer leave threads to others, and are taken up in turn', async () => {
  const { names, begun, end } = slowLookups();
  for (let number = 0; number < 20; number++) void names(`slow-${number}`, `asker-${number}`, never);
  assert.equal(begun.length, 6);
  await end('slow-3');
  assert.deepEqual(begun.slice(6), ['slow-6']);
});

test('who asks for slow names keeps nobody else waiting', async () => {
  const { names, begun, end } = slowLookups();
  for (let number = 0; number < 20; number++) void names(`slow-${number}`, 'one', never);
  assert.deepEqual(begun, ['slow-0', 'slow-1']);
  const other = names('quick', 'other', never);
  await end('quick');
  assert.deepEqual(await other, answer);
  await end('slow-1');
  assert.deepEqual(begun, ['slow-0', 'slow-1', 'quick', 'slow-2']);
});

test('a name is looked up once for all who ask for it meanwhile', async () => {
  const { names, begun, end } = slowLookups();
  const all = ['one', 'one', 'one', 'other'].map((asker) => names('same', asker, never));
  await end('same');
  assert.deepEqual(await Promise.all(all), [answer, answer, answer, answer]);
  assert.deepEqual(begun, ['same']);
});

test('who gives up waits no longer, and takes nobody’s turn', async () => {
  const { names, begun, end } = slowLookups();
  const first = [names('slow-1', 'one', never), names('slow-2', 'one', never)];
  const giving = new AbortController();
  const late = names('late', 'one', giving.signal);
  giving.abort(new Error('given up'));
  await assert.rejects(late, /given up/);
  for (const name of ['slow-1', 'slow-2']) await end(name);
  await Promise.all(first);
  assert.deepEqual(begun, ['slow-1', 'slow-2']);
  await assert.rejects(names('never asked', 'one', giving.signal), /given up/);
});

test('a lookup that fails fails for its askers, and the name is looked up again afterwards', async () => {
  let count = 0;
  const names = createNameLookups(async () => {
    count++;
    throw new Error('not found');
  });
  await assert.rejects(names('missing', 'one', never), /not found/);
  await assert.rejects(names('missing', 'one', never), /not found/);
  assert.equal(count, 2);
});
