/** `bramble down`: asks the supervisor of a home to stop, and waits until it has. */
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import { birthOf, signalProcess } from '../base/process-facts.ts';
import { holderShape, type LockHolder, lockHome } from '../processes/supervisor/home-lock.ts';
import { thisRelease } from '../release/this-release.ts';

const waitMs = 60_000;

/**
 * Sends SIGTERM to the lock's holder, never to a process that merely reuses its id.
 * @throws BrambleError ERR_NOT_RUNNING when no supervisor runs there, ERR_STOP_TIMEOUT when it has not ended in a minute.
 */
export async function stopSupervisor(home: string): Promise<{ processId: number }> {
  const { pid, birth } = await holderOf(home);
  await signalProcess(pid, birth, 'SIGTERM');
  const deadline = AbortSignal.timeout(waitMs);
  while ((await birthOf(pid)) === birth) {
    if (deadline.aborted) {
      throw new BrambleError(
        'ERR_STOP_TIMEOUT',
        `The supervisor (process ${pid}) was asked to stop a minute ago and is still running: its log shows what it ` +
          'is waiting for.',
      );
    }
    await delay(100);
  }
  return { processId: pid };
}

export async function isSupervised(home: string): Promise<boolean> {
  try {
    await holderOf(home);
    return true;
  } catch (error) {
    if (isBrambleError(error, 'ERR_NOT_RUNNING')) return false;
    throw error;
  }
}

/** By refusing us, the lock tells its holder. */
async function holderOf(home: string): Promise<LockHolder> {
  try {
    const lock = await lockHome(home, thisRelease.release);
    await lock.release();
  } catch (error) {
    if (isBrambleError(error, 'ERR_ALREADY_RUNNING')) return holderShape.parse(error.details);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  throw new BrambleError('ERR_NOT_RUNNING', `No supervisor runs on ${home}. Set BRAMBLE_HOME to another home.`);
}
