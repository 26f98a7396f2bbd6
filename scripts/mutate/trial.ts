/**
 * Runs named tests of a tree, and says of each how it ended. A test is told by its title, so that a file that does not even
 * load is not taken for one that sees a bug.
 */
import { join } from 'node:path';
import { run } from 'node:test';
import { waitedInVain } from '../../src/testing/condition.ts';

export interface NamedTest {
  /** From the root of the tree. */
  readonly file: string;
  /** Its own, without those of the suites around it. */
  readonly title: string;
}

export type TestEnd =
  | 'passed'
  /** Its own assertions, or an error in it. */
  | 'failed'
  /** It was ended by the clock: by its own time-out, or by that of a wait in it. */
  | 'hung'
  /** It never began, or was not there: the file does not load, or has it no longer. */
  | 'not-run';

export interface TrialOptions {
  /** A test's own, and a fifth more of its file's. */
  readonly limitMs: number;
  readonly atOnce: number;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** Is given the error of each test that did not pass. */
  readonly onError?: (test: NamedTest, error: unknown) => void;
}

/** How each test ended, in the order in which they are given. Nothing but these tests runs. */
export async function tryTests(
  tree: string,
  tests: readonly NamedTest[],
  { limitMs, atOnce, env, signal, onError }: TrialOptions,
): Promise<TestEnd[]> {
  const ends = new Map<string, TestEnd>();
  const deadline = AbortSignal.timeout(limitMs * tests.length + limitMs / 5 + 10_000);
  const events = run({
    files: [...new Set(tests.map(({ file }) => join(tree, file)))],
    cwd: tree,
    concurrency: atOnce,
    timeout: limitMs,
    testNamePatterns: tests.map(({ title }) => new RegExp(patternOf(title))),
    execArgv: ['--test-force-exit'],
    env,
    signal: AbortSignal.any([signal, deadline]),
  });
  events.on('test:complete', ({ name, file, details }) => {
    const test = tests.find(({ title, file: own }) => title === name && file === join(tree, own));
    if (test === undefined) return;
    ends.set(keyOf(test), endOf(details));
    if (!details.passed) onError?.(test, details.error?.cause ?? details.error);
  });
  events.resume();
  await new Promise((resolve) => events.once('close', resolve).once('end', resolve));
  signal.throwIfAborted();
  // What the clock ends from outside never says that it is complete.
  const otherwise = deadline.aborted ? 'hung' : 'not-run';
  return tests.map((test) => ends.get(keyOf(test)) ?? otherwise);
}

function endOf(details: { passed: boolean; error?: object | undefined }): TestEnd {
  if (details.passed) return 'passed';
  const { failureType, cause } = (details.error ?? {}) as { failureType?: string; cause?: unknown };
  if (failureType === 'testTimeoutFailure' || failureType === 'cancelledByParent' || failureType === 'testAborted')
    return 'hung';
  return isWaitedInVain(cause) ? 'hung' : 'failed';
}

/** By its code, since it comes from another process; also where the test has said more about it. */
function isWaitedInVain(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return ('code' in error && error.code === waitedInVain) || isWaitedInVain(error.cause);
}

function keyOf({ file, title }: NamedTest): string {
  return `${file} ${title}`;
}

function patternOf(title: string): string {
  return title.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
