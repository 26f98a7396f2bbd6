/**
 * Damaged inputs for every parser of bytes from outside: each is taken, or refused with a documented code that is the sender's
 * fault. The seed is printed, so that a failure can be had again:
 *
 *   BRAMBLE_FUZZ_SEED=<seed>       the same inputs again (keys inside of them are fresh)
 *   BRAMBLE_FUZZ_INPUTS=10000000   so many over all parsers, instead of 40,000
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parserTargets } from '../fuzz/parser-targets.ts';
import { fuzz, reportLine } from '../fuzz/run-fuzz.ts';

const seed = process.env['BRAMBLE_FUZZ_SEED'] ?? randomBytes(6).toString('hex');
const wanted = Number(process.env['BRAMBLE_FUZZ_INPUTS'] ?? 40_000);
const errors = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'errors.md'), 'utf8');
const documented = new Set([...errors.matchAll(/^\| `(ERR_[A-Z0-9_]+)` \|/gm)].map((match) => match[1] ?? ''));
const targets = await parserTargets();
const weights = targets.reduce((sum, target) => sum + target.weight, 0);

describe(`parsers under damaged inputs, seed ${seed}`, () => {
  for (const target of targets) {
    test(target.name, async (context) => {
      const inputs = Math.max(50, Math.ceil((wanted * target.weight) / weights));
      const report = await fuzz(target, { seed, inputs, documented });
      context.diagnostic(reportLine(report));
      // A generator of what is refused at the first look, or of nothing that is, would find nothing.
      assert.ok(report.taken > 0, 'nothing was taken');
      if (target.refusesNothing) assert.equal(report.taken, inputs);
      else assert.ok(report.taken < inputs, 'nothing was refused');
    });
  }
});
