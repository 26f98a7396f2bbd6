/**
 * Runs test files beside one shared database cluster: `scripts/test.ts [node options] [globs]`. Node's own summary is the
 * last thing printed of a run that ends well, and its exit code is ours.
 *
 * Invariant: it ends, and nothing stays behind. A test has five minutes unless it says otherwise, a file fifteen
 * (`test-file-limit.ts`); what a file that was ended had started is ended after the run.
 */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTestCluster, prepareMigratedTemplate, testClusterVariable } from '../src/database/test-database.ts';
import { endLeftovers } from './test-leftovers.ts';

const defaultGlobs = ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts', 'test/**/*.test.ts'];
const usual = [
  // Most files wait more than they work: two at once even where Node would take one.
  `--test-concurrency=${Math.max(2, availableParallelism() - 1)}`,
  '--test-timeout=300000',
  // What a test that timed out still has open must not keep its file from ending.
  '--test-force-exit',
  `--import=${new URL('test-file-limit.ts', import.meta.url).href}`,
];

const wanted = process.argv.slice(2);
const globs = wanted.some((argument) => !argument.startsWith('-')) ? [] : defaultGlobs;
const cluster = await openTestCluster();
const folder = await mkdtemp(join(tmpdir(), 'bramble-run-'));
let exitCode = 1;
try {
  // Under root PostgreSQL is another user, who has to pass through.
  await chmod(folder, 0o711);
  await prepareMigratedTemplate(cluster.url);
  const env = {
    ...process.env,
    [testClusterVariable]: cluster.url,
    TMPDIR: folder,
    // Each file, and each process that it starts, loads the same modules.
    NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
  };
  exitCode = await runNode(['--test', ...usual, ...wanted, ...globs], env);
} finally {
  for (const { pid, command } of await endLeftovers(folder)) {
    console.error(`Left behind by a test, and ended: process ${pid}, ${command}`);
  }
  await rm(folder, { recursive: true, force: true });
  await cluster.stop();
}
process.exitCode = exitCode;

async function runNode(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(process.execPath, args, { env, stdio: 'inherit' });
  // A signal goes to the tests; the cluster is stopped when they have ended.
  const pass = (signal: NodeJS.Signals) => void child.kill(signal);
  process.on('SIGINT', pass).on('SIGTERM', pass);
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
