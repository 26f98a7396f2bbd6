/**
 * Runs test files beside one shared database cluster: `scripts/test.ts [--fast] [node options] [globs]`. A line for each file
 * as it ends, Node's own summary as the last thing of a run; the exit code is 0 only if all passed. With `--fast` the long
 * files are left out (`test-selection.ts`).
 *
 * Invariant: it ends, and nothing stays behind. A test has five minutes unless it says otherwise, a file fifteen
 * (`test-file-limit.ts`); what a file that was ended had started is ended after the run.
 */
import { chmod, glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { openTestCluster, prepareMigratedTemplate, testClusterVariable } from '../src/database/database-fixture.ts';
import { sharedFolderVariable } from '../test/harness/archives.ts';
import { limitFiles } from './test-file-limit.ts';
import { testFolder } from './test-folder.ts';
import { endLeftovers } from './test-leftovers.ts';
import { limitIn, type TestFile, testOrder, usualLimitMs } from './test-order.ts';
import { testReport } from './test-report.ts';
import { allTests, isLong, sayQuick, testFiles } from './test-selection.ts';

/** Files with whole domains, which take most of the time, keep a third of a processor busy; the others work more than they wait. */
const filesAtOnce = 2 * availableParallelism() + 1;
const fileLimitMs = 900_000;

const isQuickOnly = process.argv.includes('--fast');
const wanted = process.argv.slice(2).filter((argument) => argument !== '--fast');
const nodeOptions = wanted.filter((argument) => argument.startsWith('-'));
const globs = wanted.filter((argument) => !argument.startsWith('-'));
const found = await testFiles(globs.length === 0 ? allTests : globs);
const chosen = isQuickOnly ? found.filter((file) => !isLong(file)) : found;
if (isQuickOnly) console.log(sayQuick(chosen, found.filter(isLong)));
const files = testOrder(await Promise.all(chosen.map(described))).map((file) => resolve(file));
if (files.length === 0) {
  console.error(`No test file fits ${globs.join(' ')}. Patterns are relative to the root of the checkout.`);
  process.exit(1);
}
process.env['TMPDIR'] = await testFolder();
const cluster = await openTestCluster();
const folder = await mkdtemp(join(tmpdir(), 'bramble-run-'));
let passed = false;
try {
  // Under root PostgreSQL is another user, who has to pass through.
  await chmod(folder, 0o711);
  await prepareMigratedTemplate(cluster.url);
  const env = {
    ...process.env,
    [testClusterVariable]: cluster.url,
    TMPDIR: folder,
    [sharedFolderVariable]: folder,
    // Each file, and each process that it starts, loads the same modules.
    NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
  };
  passed = await runFiles(env);
} finally {
  for (const { pid, command } of await endLeftovers(folder)) {
    console.error(`Left behind by a test, and ended: process ${pid}, ${command}`);
  }
  await rm(folder, { recursive: true, force: true });
  await cluster.stop();
}
process.exitCode = passed ? 0 : 1;

/** With the files in a folder of its own, where `name.test.ts` has a folder `name`. */
async function described(path: string): Promise<TestFile> {
  const texts = [await readFile(path, 'utf8')];
  for await (const part of glob(`${path.replace(/\.test\.ts$/, '')}/*.ts`)) texts.push(await readFile(part, 'utf8'));
  const text = texts.join('');
  return { path, sizeBytes: text.length, limitMs: limitIn(text) };
}

async function runFiles(env: NodeJS.ProcessEnv): Promise<boolean> {
  // A signal ends the files; the cluster is stopped when they have ended.
  const ending = new AbortController();
  process.once('SIGINT', () => ending.abort()).once('SIGTERM', () => ending.abort());
  const events = run({
    files,
    concurrency: filesAtOnce,
    timeout: usualLimitMs,
    env,
    signal: ending.signal,
    execArgv: [
      // What a test that timed out still has open must not keep its file from ending.
      '--test-force-exit',
      '--import',
      join(import.meta.dirname, 'test-output.ts'),
      ...nodeOptions,
    ],
  });
  limitFiles(events, files, fileLimitMs);
  let success = false;
  events.on('test:summary', (summary) => {
    if (summary.file === undefined) success = summary.success;
  });
  const endedEarly: string[] = [];
  const report = events.pipe(testReport(files, process.cwd(), (file) => endedEarly.push(file)));
  report.pipe(process.stdout);
  await finished(report);
  return success && endedEarly.length === 0 && !ending.signal.aborted;
}
