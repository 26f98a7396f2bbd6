import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { tryTests } from './trial.ts';

const condition = new URL('../../src/testing/condition.ts', import.meta.url).href;
const source = `
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '${condition}';
test('passes', () => undefined);
test('sees it', () => assert.equal(1, 2));
test('waits in vain', () => until('it is so', 1, () => false));
test('waits in vain and says more', () => until('it is so', 1, () => false).catch((cause) => {
  throw new Error('it is not', { cause });
}));
test('hangs', { timeout: 100 }, () => new Promise(() => setInterval(() => undefined, 1000)));
`;

test('a wait that ran out counts as hung, as a time-out does: neither has seen anything', async () => {
  const tree = await mkdtemp(join(tmpdir(), 'bramble-trial-'));
  try {
    await writeFile(join(tree, 'a.test.mjs'), source);
    const titles = ['passes', 'sees it', 'waits in vain', 'waits in vain and says more', 'hangs', 'is not there'];
    // The runner runs no files from within a test.
    delete process.env['NODE_TEST_CONTEXT'];
    const ends = await tryTests(
      tree,
      titles.map((title) => ({ file: 'a.test.mjs', title })),
      { limitMs: 60_000, atOnce: 1, env: process.env, signal: AbortSignal.timeout(120_000) },
    );
    assert.deepEqual(ends, ['passed', 'failed', 'hung', 'hung', 'hung', 'not-run']);
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
});
