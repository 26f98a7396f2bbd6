/**
 * How `bramble up` takes the place of a running supervisor: the old one releases its processes, which report themselves
 * to the new one and keep working throughout.
 *
 *   the running one is   of an earlier release    of the same or a later one
 *                        taken over               refused, unless it was said (`--take-over`)
 *
 * One of 1.2 or later is asked, and may refuse; one of 1.1 knows no such question and is killed, which its processes
 * notice in the same way, and so is any that does not answer in time.
 *
 * Invariant: no take-over begins while a process exists that would end with its supervisor, as those of 1.1 do.
 */
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { childrenOf, signalProcess } from '../../base/process-facts.ts';
import { compareReleases } from '../../base/release-number.ts';
import { socketPath } from '../../base/socket-path.ts';
import {
  closed,
  onLines,
  refusedShape,
  runFolder,
  sendLine,
  supervisorSocket,
  typeOf,
} from '../../process/adoption-messages.ts';
import { readAdoptable } from './adoptable-processes.ts';
import type { OnEvent } from './events.ts';
import { type HomeLock, holderShape, type LockHolder, lockHome } from './home-lock.ts';

interface ClaimOptions {
  /** Of this supervisor. */
  release: string;
  /** Whether to take over even from one of the same or a later release. */
  takeOver: boolean;
  signal: AbortSignal;
  onEvent: OnEvent;
  /** How long the other may take to answer before it is killed. Default 10 s. */
  answerMs?: number;
  /** How long the other may take to release its processes before it is killed. Default 60 s. */
  letGoMs?: number;
}

const usualLetGoMs = 60_000;
const killedWithinMs = 30_000;
const usualAnswerMs = 10_000;
const lookMs = 50;
/** Longer than processes keep working without a supervisor; one of them may be stopped. */
const diskWaitMs = 60_000;
/** A newly started process takes a little while to announce that it can be adopted. */
const justStartedMs = 5000;

/**
 * Locks the home, after taking over from the supervisor that runs there.
 * @throws BrambleError ERR_ALREADY_RUNNING, ERR_TAKE_OVER_NEWER, ERR_TAKE_OVER_INTERRUPTS, ERR_TAKE_OVER_REFUSED, ERR_HOME_DISK
 */
export async function claimHome(home: string, options: ClaimOptions): Promise<HomeLock> {
  let former: { holder: LockHolder; letsGo: boolean; killAtMs: number } | undefined;
  for (;;) {
    try {
      return await lockWithRoom(home, options);
    } catch (error) {
      if (!isBrambleError(error, 'ERR_ALREADY_RUNNING')) throw error;
      // Even a supervisor that is asked to end gets the home if no other holds it: there may be a database to shut
      // down.
      options.signal.throwIfAborted();
      const holder = holderShape.parse(error.details);
      if (former === undefined) {
        assertWanted(holder, options, error);
        await assertAdoptable(home, holder);
        options.onEvent({ type: 'taking-over', pid: holder.pid, release: holder.release });
        const answerMs = holder.release === null ? 0 : (options.answerMs ?? usualAnswerMs);
        former = { holder, letsGo: false, killAtMs: performance.now() + answerMs };
      }
      // Of two that take over at the same time, the other was first.
      if (former.holder.birth !== holder.birth) throw error;
      const leftMs = former.killAtMs - performance.now();
      if (!former.letsGo && leftMs > 0 && (await askToHandOver(home, holder, options.release, leftMs))) {
        former = { holder, letsGo: true, killAtMs: performance.now() + (options.letGoMs ?? usualLetGoMs) };
      }
      const overdueMs = performance.now() - former.killAtMs;
      // It does not even end by being killed.
      if (overdueMs > killedWithinMs) throw error;
      if (overdueMs >= 0 && holder.pid !== process.pid) await signalProcess(holder.pid, holder.birth, 'SIGKILL');
      await delay(lookMs);
    }
  }
}

/** Waits for disk space as long as processes wait for a supervisor: without one they drain. */
async function lockWithRoom(home: string, { release, signal, onEvent }: ClaimOptions): Promise<HomeLock> {
  const deadline = performance.now() + diskWaitMs;
  for (let told = false; ; told = true) {
    try {
      return await lockHome(home, release);
    } catch (error) {
      if (!isBrambleError(error, 'ERR_HOME_DISK')) throw error;
      if (signal.aborted || performance.now() > deadline || (await readAdoptable(home)).length === 0) throw error;
      if (!told) onEvent({ type: 'waiting-for-disk', message: error.message });
      await delay(lookMs);
    }
  }
}

/** Whether a supervisor of this release may be taken over without an explicit request. Pure. */
function isEarlier(running: string | null, own: string): boolean {
  return running === null || compareReleases(running, own) < 0;
}

function assertWanted({ pid, release }: LockHolder, options: ClaimOptions, running: BrambleError): void {
  if (options.takeOver || isEarlier(release, options.release)) return;
  if (release === options.release) throw running;
  throw new BrambleError(
    'ERR_TAKE_OVER_NEWER',
    `A supervisor of ${release} (process ${pid}) is running here, and this one is of the earlier ` +
      `${options.release}. Leave it running, or go back to this release with \`bramble up --take-over\`.`,
    { details: { pid, release } },
  );
}

/** @throws BrambleError ERR_TAKE_OVER_INTERRUPTS that names the processes which would end. */
async function assertAdoptable(home: string, holder: LockHolder): Promise<void> {
  const deadline = performance.now() + justStartedMs;
  for (;;) {
    const adoptable = new Set((await readAdoptable(home)).map(({ pid }) => pid));
    const ending = (await childrenOf(holder.pid)).flatMap(({ pid, command }) => {
      const [, release, kind] = /\/releases\/([^/ ]+)\/bramble\.mjs run (\w+)/.exec(command) ?? [];
      return kind === undefined || adoptable.has(pid) ? [] : [`${kind} of ${release} (process ${pid})`];
    });
    if (ending.length === 0) return;
    if (performance.now() > deadline) {
      throw new BrambleError(
        'ERR_TAKE_OVER_INTERRUPTS',
        `These processes would end together with the running supervisor (process ${holder.pid}), and devices would ` +
          `notice: ${ending.join(', ')}. Wait until an upgrade has replaced them (\`bramble upgrade status\` ` +
          'shows when), or stop everything with `bramble down` and start again.',
        { details: { pid: holder.pid, ending } },
      );
    }
    await delay(lookMs);
  }
}

/**
 * Whether it agrees in time to hand over. If nothing is listening, it may be about to: that is not an answer.
 * @throws BrambleError ERR_TAKE_OVER_REFUSED with its reason
 */
async function askToHandOver(home: string, { pid }: LockHolder, release: string, timeoutMs: number): Promise<boolean> {
  const at = await socketPath(runFolder(home), supervisorSocket);
  const connection = net.connect(at.path);
  try {
    const answered = new Promise<boolean>((resolve, reject) => {
      void closed(connection).then(() => resolve(false));
      onLines(connection, (message) => {
        if (typeOf(message) === 'handing-over') resolve(true);
        const refused = refusedShape.safeParse(message);
        if (refused.success) reject(refusal(pid, refused.data.reason));
      });
    });
    sendLine(connection, { type: 'hand-over', release });
    return await Promise.race([answered, delay(timeoutMs, false, { ref: false })]);
  } finally {
    connection.destroy();
    await at.close();
  }
}

function refusal(pid: number, reason: string): BrambleError {
  return new BrambleError(
    'ERR_TAKE_OVER_REFUSED',
    `The supervisor that is running here (process ${pid}) does not allow a take-over now: ${reason} Leave it ` +
      'running and try again later, or stop everything with `bramble down` and start again.',
    { details: { pid, reason } },
  );
}
