/**
 * Reading files that may not be there. Absent is only what the system calls absent: what it cannot tell because it is short of
 * descriptors or memory is asked again, and an error after that.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const shortages = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];
const patienceMs = 10_000;
const retryMs = 50;

/** Null where there is no such file; below /proc, no such process. @throws what else forbids to read it */
export async function readPresent(path: string): Promise<string | null> {
  try {
    return await throughShortage(async () => await readFile(path, 'utf8'));
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(codeOf(error))) return null;
    throw error;
  }
}

/** Asks again, for up to 10 s, while the system is short of what it takes to answer. `ask` only reads. */
export async function throughShortage<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!shortages.includes(codeOf(error)) || performance.now() > deadline) throw error;
      await delay(retryMs);
    }
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}
