import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/simulator/seeded-random.ts';
import { binaryKitchen } from './binary-plists.ts';
import { rowOf } from './cost.ts';
import { der, form, json, xml } from './ingredients.ts';
import { kitchenOf } from './recipes.ts';
import { type Kitchen, type Measure, type Recipe, searchDearest } from './search.ts';

const planted = kitchenOf(
  { words: ['a', 'b', '<trap>'], wraps: [], frames: [(inside) => inside] },
  { name: 'planted', from: 'stranger', limitBytes: 4096, maxLevels: 0, eat: () => {} },
);

/** What the trap costs, by the size of what it stands in; everything else costs next to nothing. */
function trapCosts(costOf: (sizeBytes: number) => number): Measure {
  const cost = async (_kitchen: Kitchen, input: Buffer) =>
    input.includes('<trap><trap>') ? costOf(input.length) : 0.01;
  return { estimate: cost, sure: cost };
}

test('the search finds an input that costs too much, and one whose cost grows faster than its size', async () => {
  const dear = await searchDearest(
    planted,
    seededRandom('one'),
    40,
    trapCosts(() => 30),
  );
  assert.equal(rowOf(planted, dear).verdict, 'too dear');
  assert.equal(rowOf({ ...planted, from: 'device' }, dear).verdict, 'ok');
  const quadratic = trapCosts((sizeBytes) => 16 * (sizeBytes / 4096) ** 2);
  const row = rowOf(planted, await searchDearest(planted, seededRandom('two'), 60, quadratic));
  assert.equal(row.verdict, 'grows faster than its size', JSON.stringify(row));
  const linear = trapCosts((sizeBytes) => 16 * (sizeBytes / 4096));
  assert.equal(rowOf(planted, await searchDearest(planted, seededRandom('three'), 60, linear)).verdict, 'ok');
});

test('the same seed begins with the same inputs', async () => {
  const eaten = async () => {
    const inputs: string[] = [];
    const kitchen = kitchenOf(form, {
      ...{ name: 'form', from: 'stranger', limitBytes: 64, maxLevels: 0 },
      eat: (input) => void inputs.push(input.toString('hex')),
    });
    await searchDearest(kitchen, seededRandom('seed'), 20);
    return [...new Set(inputs)].slice(0, 10);
  };
  assert.deepEqual(await eaten(), await eaten());
});

test('whatever is cooked keeps within its size, and half of it is of half the size', () => {
  const random = seededRandom('cook');
  for (const ingredients of [xml, der, form, json]) {
    const kitchen = kitchenOf(ingredients, {
      name: 'k',
      from: 'device',
      limitBytes: 64 * 1024,
      maxLevels: 3000,
      eat: () => {},
    });
    for (let count = 0; count < 60; count++) {
      const recipe: Recipe = {
        unit: Array.from({ length: 1 + random.integer(3) }, () => random.integer(kitchen.words)),
        wraps: kitchen.wraps === 0 ? [] : [random.integer(kitchen.wraps)],
        levels: random.integer(3000),
        frame: random.integer(kitchen.frames),
        share: 1,
      };
      const [whole, half] = [65_536, 32_768].map((size) => kitchen.cook(recipe, size).length);
      assert.ok((whole ?? 0) <= 65_536 + 256, `${whole} bytes of ${JSON.stringify(recipe)}`);
      assert.ok((half ?? 0) <= 32_768 + 256, `${half} bytes of ${JSON.stringify(recipe)}`);
    }
  }
  const binary = binaryKitchen({ name: 'b', from: 'device', limitBytes: 65_536, maxLevels: 64, eat: () => {} });
  for (let frame = 0; frame < binary.frames; frame++) {
    const recipe = { unit: [0, 2], wraps: [frame % 2], levels: 3, frame, share: 1 };
    assert.equal(binary.cook(recipe, 65_536).subarray(0, 8).toString(), 'bplist00');
  }
});
