/** How far commands on backups are; they may be told to end. */
import type { VerifyOptions } from '../../backup/verify-backup.ts';
import type { Frame } from '../frame.ts';
import { type LiveProgress, withProgress } from '../live-progress.ts';
import { untilSignalled } from '../signalled.ts';

/** Until it is told to end; how far it is shows on a terminal. */
export async function working<Result>(
  frame: Frame,
  work: (progress: LiveProgress, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  return await withProgress(
    frame,
    async (progress) =>
      await untilSignalled(
        async (signal) => await work(progress, signal),
        (name) => {
          progress.end();
          frame.errors.write(`${name} was received: removing what was begun …\n`);
        },
      ),
  );
}

/** Of what is told in bytes. */
export function inMiB(progress: LiveProgress, what: string): (done: number, of: number) => void {
  return (done, of) => progress.show(`${what}, in MiB`, inMebibytes(done), inMebibytes(of));
}

export function showsVerifying(progress: LiveProgress): NonNullable<VerifyOptions['onProgress']> {
  return showsSteps(progress, {
    restoring: 'restoring rows',
    comparing: 'comparing tables',
    starting: 'starting the release',
  });
}

/** Of what begins by reading a backup. */
export function showsSteps<Step extends string>(
  progress: LiveProgress,
  texts: Readonly<Record<Step, string>>,
): (step: Step | 'reading', done: number, of: number) => void {
  const reading = inMiB(progress, 'reading');
  return (step, done, of) => (step === 'reading' ? reading(done, of) : progress.show(texts[step], done, of));
}

function inMebibytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}
