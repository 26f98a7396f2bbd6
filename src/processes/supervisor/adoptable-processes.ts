/**
 * The processes of a home that announced they can be adopted, by the files that they left for it.
 *
 * Invariant: only living processes count, by id and birth, and only they are signalled.
 */
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readPresent, throughShortage } from '../../base/present-file.ts';
import { birthOf, signalProcess } from '../../base/process-facts.ts';
import { jsonOrUndefined } from '../../base/shallow-json.ts';
import { type Adoptable, adoptableFolder, adoptableShape } from '../../process/adoption-messages.ts';

const lookMs = 50;
const killedWithinMs = 5000;

/**
 * Waits until all have reported themselves, for `minMs` at least and `maxMs` at most.
 * @param reported ids of those that have
 * @returns those that have not
 */
export async function untilReported(
  home: string,
  reported: ReadonlyMap<number, unknown>,
  { minMs, maxMs }: { minMs: number; maxMs: number },
  signal: AbortSignal,
): Promise<Adoptable[]> {
  const beganMs = performance.now();
  const passedMs = () => performance.now() - beganMs;
  let missing = await readOthers(home, reported);
  while ((missing.length > 0 || passedMs() < minMs) && passedMs() < maxMs && !signal.aborted) {
    await delay(lookMs);
    missing = await readOthers(home, reported);
  }
  return missing;
}

/** SIGTERM, then SIGKILL after the grace; resolves when they have ended, or cannot be ended. */
export async function endOthers(home: string, reported: ReadonlyMap<number, unknown>, graceMs: number): Promise<void> {
  const killAtMs = performance.now() + graceMs;
  const asked = new Set<number>();
  for (;;) {
    const others = await readOthers(home, reported).catch(() => []);
    const overdueMs = performance.now() - killAtMs;
    if (others.length === 0 || overdueMs > killedWithinMs) return;
    const late = overdueMs >= 0;
    for (const { pid, birth } of others) {
      // A process that may not be signalled must not keep the others from being stopped.
      if (late || !asked.has(pid)) await signalProcess(pid, birth, late ? 'SIGKILL' : 'SIGTERM').catch(() => undefined);
      asked.add(pid);
    }
    await delay(lookMs);
  }
}

async function readOthers(home: string, reported: ReadonlyMap<number, unknown>): Promise<Adoptable[]> {
  const all = await readAdoptable(home);
  return all.filter(({ pid }) => !reported.has(pid));
}

/**
 * The processes of the home that live and can be adopted; files of others are removed. @throws when the system cannot
 * tell
 */
export async function readAdoptable(home: string): Promise<Adoptable[]> {
  const folder = adoptableFolder(home);
  const files = await throughShortage(() => readdir(folder)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return [];
  });
  const found = await Promise.all(
    files.map(async (name) => {
      const file = path.join(folder, name);
      const parsed = adoptableShape.safeParse(jsonOrUndefined((await readPresent(file)) ?? ''));
      if (parsed.success && (await birthOf(parsed.data.pid)) === parsed.data.birth) return [parsed.data];
      // A file that is being written has no contents yet; its process will report itself anyway.
      if (parsed.success) await rm(file, { force: true });
      return [];
    }),
  );
  return found.flat();
}
