/**
 * `npm run mutate [-- options] [names]`: puts known bugs back, one by one, in a copy of the tree, and runs the tests that
 * have to see each. Prints a line for each bug, and ends with 0 only if all of them were caught, none of them by a hang.
 *
 * Invariant: the tree itself is never changed, and nothing stays behind.
 */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect, promisify } from 'node:util';
import { openTestCluster, testClusterVariable } from '../src/database/database-fixture.ts';
import type { KnownBug } from './mutate/known-bug.ts';
import { knownBugs } from './mutate/known-bugs.ts';
import { type NamedTest, type TestEnd, type TrialOptions, tryTests } from './mutate/trial.ts';
import { readOptions } from './script-options.ts';
import { applyEdits } from './source-edit.ts';
import { endLeftovers } from './test-leftovers.ts';

const usage = `npm run mutate [-- options] [names]

Puts known bugs back into a copy of the tree and runs the tests that have to see them: all, or those that are named.

  --list        show the bugs and end
  --limit <s>   seconds that a test has before it counts as hung (default 120; more on a busy machine)
  --json        the outcome as JSON`;

type Outcome = 'caught' | 'survived' | 'hung' | 'not-run';

interface Verdict {
  name: string;
  outcome: Outcome;
  seconds: number;
  tests: (NamedTest & { end: TestEnd })[];
}

const root = fileURLToPath(new URL('../', import.meta.url));
const { values, positionals } = readOptions(usage, {
  options: {
    list: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    limit: { type: 'string', default: '120' },
  },
  allowPositionals: true,
});
const say = values.json ? console.error : console.log;
process.exitCode = await main();

async function main(): Promise<number> {
  const limitMs = Number(values.limit) * 1000;
  const unknown = positionals.filter((name) => !knownBugs.some((bug) => bug.name === name));
  if (unknown.length > 0 || !(limitMs > 0)) {
    if (unknown.length > 0) console.error(`There is no known bug ${unknown.join(', ')}: --list shows them.\n`);
    console.log(usage);
    return 2;
  }
  const bugs = knownBugs.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  if (values.list) {
    for (const { name, file } of bugs) console.log(`${name.padEnd(38)} ${file}`);
    return 0;
  }
  const ending = new AbortController();
  const end = () => ending.abort(new Error('ended by a signal'));
  process.once('SIGINT', end).once('SIGTERM', end);
  return await inCopy(async (tree, env, endOthers) => {
    const options = { limitMs, env, signal: ending.signal };
    if (!(await passesWithout(tree, bugs, options))) return 1;
    const verdicts: Verdict[] = [];
    for (const bug of bugs) {
      const verdict = await tryBug(tree, bug, options);
      await endOthers();
      verdicts.push(verdict);
      say(lineOf(verdict, `${verdicts.length}/${bugs.length}`));
    }
    return summary(verdicts);
  });
}

/** In a temporary folder, beside a database cluster; what tests that were ended have started is ended too. */
async function inCopy(
  work: (tree: string, env: NodeJS.ProcessEnv, endOthers: () => Promise<unknown>) => Promise<number>,
): Promise<number> {
  const cluster = await openTestCluster();
  const folder = await mkdtemp(join(tmpdir(), 'bramble-mutate-'));
  try {
    // Under root PostgreSQL is another user, who has to pass through.
    await chmod(folder, 0o711);
    const tree = join(folder, 'tree');
    await copyTree(tree);
    const { NODE_TEST_CONTEXT: _ours, ...inherited } = process.env;
    const compileCache = join(folder, 'compile-cache');
    const own = { [testClusterVariable]: cluster.url, TMPDIR: folder, NODE_COMPILE_CACHE: compileCache };
    return await work(tree, { ...inherited, ...own }, () => endLeftovers(folder));
  } finally {
    await endLeftovers(folder);
    await rm(folder, { recursive: true, force: true });
    await cluster.stop();
  }
}

/** What git knows or would take, as it is in the working tree. */
async function copyTree(tree: string): Promise<void> {
  const { stdout } = await promisify(execFile)('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
  });
  for (const file of stdout.split('\0').filter((name) => name !== '')) {
    await mkdir(dirname(join(tree, file)), { recursive: true });
    await cp(join(root, file), join(tree, file)).catch((error: NodeJS.ErrnoException) => {
      // Deleted, and not yet so for git.
      if (error.code !== 'ENOENT') throw error;
    });
  }
  await symlink(join(root, 'node_modules'), join(tree, 'node_modules'));
}

/** A test that fails anyway, or is not there, sees nothing. */
async function passesWithout(tree: string, bugs: readonly KnownBug[], options: Omit<TrialOptions, 'atOnce'>) {
  const tests = bugs.flatMap(({ seenBy }) => seenBy);
  const distinct = tests.filter(
    (one, index) => tests.findIndex(({ file, title }) => file === one.file && title === one.title) === index,
  );
  const began = performance.now();
  const errors: string[] = [];
  const onError = (test: NamedTest, error: unknown) => errors.push(`${textOf(test)}\n${inspect(error)}`);
  const ends = await tryTests(tree, distinct, { ...options, atOnce: 2, onError });
  const wrong = distinct.flatMap((test, index) =>
    ends[index] === 'passed' ? [] : [`${ends[index]}: ${textOf(test)}`],
  );
  say(`${distinct.length - wrong.length} of ${distinct.length} tests pass without a bug, ${secondsSince(began)} s`);
  for (const line of [...wrong, ...errors]) say(`  ${line}`);
  if (wrong.length > 0) say('Mend these tests first: what fails anyway sees no bug.');
  return wrong.length === 0;
}

async function tryBug(tree: string, bug: KnownBug, options: Omit<TrialOptions, 'atOnce'>): Promise<Verdict> {
  const began = performance.now();
  const putBack = await applyEdits(tree, [bug]);
  try {
    const ends = await tryTests(tree, bug.seenBy, { ...options, atOnce: 1 });
    const tests = bug.seenBy.map((test, index) => ({ ...test, end: ends[index] ?? 'not-run' }));
    return { name: bug.name, outcome: outcomeOf(ends), seconds: secondsSince(began), tests };
  } finally {
    await putBack();
  }
}

function outcomeOf(ends: readonly TestEnd[]): Outcome {
  if (ends.includes('passed')) return 'survived';
  if (ends.includes('hung')) return 'hung';
  return ends.includes('not-run') ? 'not-run' : 'caught';
}

function lineOf({ name, outcome, seconds, tests }: Verdict, count: string): string {
  const files = [...new Set(tests.map(({ file }) => file))].join(', ');
  const line = `${count.padStart(5)}  ${outcome.padEnd(8)} ${String(seconds).padStart(6)} s  ${name.padEnd(38)} ${files}`;
  if (outcome === 'caught') return line;
  return [line, ...tests.map((test) => `       ${test.end}: ${textOf(test)}`)].join('\n');
}

function summary(verdicts: readonly Verdict[]): number {
  if (values.json) console.log(JSON.stringify(verdicts, null, 2));
  const of = (outcome: Outcome) => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  const caught = of('caught');
  say(
    `${verdicts.length} bugs: ${caught} caught, ${of('survived')} survived, ${of('hung')} hung, ${of('not-run')} not run`,
  );
  if (caught === verdicts.length) return 0;
  say(
    'A bug that survives needs a test; one that hangs, a wait with an end; a test that was not run, a tree that loads.',
  );
  return 1;
}

function textOf({ file, title }: NamedTest): string {
  return `${file}: ${title}`;
}

function secondsSince(beganMs: number): number {
  return Math.round((performance.now() - beganMs) / 100) / 10;
}
