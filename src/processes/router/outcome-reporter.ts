/**
 * Reports the request outcomes to any instance that can record them: the device's own may be the one that is down.
 *
 *   counted → (ten seconds) → queued → told to one instance after the other → acknowledged
 *                                    → told again, ten minutes at most, or until too much waits behind it → given up
 *
 * Invariants: a report is sent only after the previous one was acknowledged or given up, so that its number shows
 * whether it was counted, whichever instance counts it; and never over a link of an older version, whose instance would
 * not understand it.
 */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../base/errors.ts';
import { linkPaths, outcomesLastMs, outcomeVersion } from '../../link/messages.ts';
import type { Logger } from '../../process/log/logger.ts';
import { exchangeJson } from './link-exchange.ts';
import type { LinkRegistry } from './link-registry.ts';
import type { OutcomeCounter } from './outcome-counter.ts';
import { OutcomeQueue, type OutcomeReport } from './outcome-queue.ts';

interface OutcomeReporterOptions {
  /** The router's own component name. */
  router: string;
  links: LinkRegistry;
  counter: OutcomeCounter;
  log: Logger;
  /** Milliseconds, never falling. */
  now: () => number;
  /** Default 10000, which is what a bucket in the database holds. */
  everyMs?: number;
  /** For each instance to acknowledge. Default 5000. */
  answerTimeoutMs?: number;
  /** Maximum number of waiting outcomes. Default 50000, some 10 MB. */
  maxWaiting?: number;
}

export interface OutcomeReporter {
  /** Ends the interval and sends what is waiting. Never rejects. */
  turn(): Promise<void>;
  /** Runs turns until {@link finish}. */
  run(): void;
  /** A last turn, for `graceMs` at most. */
  finish(graceMs: number): Promise<void>;
  /** Outcomes not yet acknowledged by any instance, and those given up so far. */
  readonly waiting: number;
  readonly givenUp: number;
}

export function createOutcomeReporter(options: OutcomeReporterOptions): OutcomeReporter {
  const { links, counter, log, now } = options;
  const run = randomUUID();
  const queue = new OutcomeQueue(options.maxWaiting ?? 50_000, (outcomes) => {
    log.debug({ outcomes }, 'request outcomes could not be reported to any instance in time');
  });
  let beganMs = now();
  let telling: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  function endInterval(): void {
    const endedMs = now();
    queue.add(counter.take(), beganMs, endedMs);
    beganMs = endedMs;
  }

  async function tellAll(): Promise<void> {
    for (let report = queue.first; report !== undefined; report = queue.first) {
      const told = await tell(report);
      if (!told) return;
      queue.acknowledge(report);
    }
  }

  /** One instance after the other, until one acknowledges. */
  async function tell(report: OutcomeReport): Promise<boolean> {
    for (const link of links.servers().filter(({ linkVersion }) => linkVersion >= outcomeVersion)) {
      const agoMs = Math.round(now() - report.beganMs);
      if (agoMs > outcomesLastMs) return false;
      try {
        const message = { router: options.router, run, sequence: report.sequence, agoMs, outcomes: report.outcomes };
        await exchangeJson(link.session, 'POST', linkPaths.outcomes, message, options.answerTimeoutMs ?? 5000);
        return true;
      } catch (error) {
        log.info(
          { identifier: link.identifier, error: messageOf(error) },
          'request outcomes not acknowledged; reporting to the next instance',
        );
      }
    }
    return false;
  }

  async function turn(): Promise<void> {
    endInterval();
    // A run already in progress continues with what was queued meanwhile.
    telling ??= tellAll().finally(() => {
      telling = undefined;
    });
    await telling;
  }

  return {
    turn,
    run: () => {
      timer ??= setInterval(() => void turn(), options.everyMs ?? 10_000);
    },
    finish: async (graceMs) => {
      clearInterval(timer);
      let late: NodeJS.Timeout | undefined;
      const deadline = new Promise<void>((resolve) => {
        late = setTimeout(resolve, graceMs);
      });
      await Promise.race([turn(), deadline]);
      clearTimeout(late);
    },
    get waiting() {
      return queue.waiting;
    },
    get givenUp() {
      return queue.givenUp;
    },
  };
}
