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
import { linkPaths, maxOutcomes, outcomesLastMs, outcomeVersion, type RequestOutcome } from '../../link/messages.ts';
import type { Logger } from '../../process/log/logger.ts';
import { exchangeJson } from './link-exchange.ts';
import type { LinkRegistry } from './link-registry.ts';
import type { OutcomeCounter } from './outcome-counter.ts';

export interface OutcomeReporterOptions {
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

interface Report {
  sequence: number;
  beganMs: number;
  outcomes: RequestOutcome[];
}

export function createOutcomeReporter(options: OutcomeReporterOptions): OutcomeReporter {
  const { links, counter, log, now } = options;
  const run = randomUUID();
  const queue: Report[] = [];
  let sequence = 0;
  let beganMs = now();
  let givenUp = 0;
  let telling: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  const waiting = () => queue.reduce((sum, { outcomes }) => sum + outcomes.length, 0);

  function endInterval(): void {
    const outcomes = counter.take();
    for (let from = 0; from < outcomes.length; from += maxOutcomes) {
      sequence += 1;
      queue.push({ sequence, beganMs, outcomes: outcomes.slice(from, from + maxOutcomes) });
    }
    beganMs = now();
    while (waiting() > (options.maxWaiting ?? 50_000)) giveUp();
    while (queue[0] && now() - queue[0].beganMs > outcomesLastMs) giveUp();
  }

  function giveUp(): void {
    const report = queue.shift();
    if (report === undefined) return;
    givenUp += report.outcomes.length;
    log.debug({ outcomes: report.outcomes.length }, 'request outcomes could not be reported to any instance in time');
  }

  async function tellAll(): Promise<void> {
    for (let report = queue[0]; report !== undefined; report = queue[0]) {
      const told = await tell(report);
      if (!told) return;
      if (queue[0] === report) queue.shift();
    }
  }

  /** One instance after the other, until one acknowledges. */
  async function tell(report: Report): Promise<boolean> {
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
      return waiting();
    },
    get givenUp() {
      return givenUp;
    },
  };
}
