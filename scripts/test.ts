/**
 * Runs test files beside one shared database cluster: `scripts/test.ts [node options] [globs]`. Node's own summary is the
 * last thing printed, and its exit code is ours.
 */
import { spawn } from 'node:child_process';
import { openTestCluster, prepareMigratedTemplate, testClusterVariable } from '../src/database/test-database.ts';

const defaultGlobs = ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts', 'test/**/*.test.ts'];

const wanted = process.argv.slice(2);
const globs = wanted.some((argument) => !argument.startsWith('-')) ? [] : defaultGlobs;
const cluster = await openTestCluster();
let exitCode = 1;
try {
  await prepareMigratedTemplate(cluster.url);
  exitCode = await runNode(['--test', ...wanted, ...globs], { ...process.env, [testClusterVariable]: cluster.url });
} finally {
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
