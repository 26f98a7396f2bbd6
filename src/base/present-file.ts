/**
 * Reads files that may be missing. A file counts as missing only when the system says so: when descriptors or memory
 * have run out, the read is retried, and then fails with an error.
 */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const shortages = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];
const patienceMs = 10_000;
const retryMs = 50;

/** Null when there is no such file (below /proc: no such process). @throws whatever else prevents reading it */
export async function readPresent(path: string): Promise<string | null> {
  try {
    return await throughShortage(async () => await readFile(path, 'utf8'));
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(codeOf(error))) return null;
    throw error;
  }
}

/** Retries for up to 10 s while the system lacks the resources to answer. `ask` must only read. */
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
