/**
 * Keeps the figures of each minute: one service of the domain at a time, whichever is there.
 *
 * Invariant: it only adds up what others have measured, so nothing is lost where it pauses, as behind the release fence: what is
 * missing is counted as soon as it goes on. What routers tell late is counted when all of it must have come.
 */

import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { advisoryLock, lockClass } from '../../database/advisory-locks.ts';
import type { Database, Queryable, Transaction } from '../../database/connection.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import { countOpenDeliveries } from '../../deliveries/delivery-figures.ts';
import { readPermitUse } from '../../deliveries/permits.ts';
import { listInstances } from '../../instances/instances.ts';
import {
  countMinutes,
  firstToCount,
  type Level,
  noteLevels,
  readFigureState,
  removeFigures,
  startOfMinute,
} from '../../measurements/figures.ts';
import type { Logger } from '../../process/log/logger.ts';

interface FigureUpkeep {
  readonly db: Database;
  readonly release: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const minuteMs = 60_000;
/** Behind the end of a minute: routers report every ten seconds. */
const settleMs = 15_000;
/** Counted again, as most of what comes late has come by then; the last time when routers have given up telling it. */
const recountMinutes = [2, 11];
/** In one transaction. */
const batchMs = 60 * minuteMs;
const removedRows = 5000;

export function createFigureUpkeep({ db, release, clock, log }: FigureUpkeep) {
  /** One step; whether more is left to be counted. */
  async function step(): Promise<boolean> {
    return await administrationTransaction(db, release, async (tx) => {
      const [lock] = await tx<{ held: boolean }[]>`
        select pg_try_advisory_xact_lock(${lockClass}, ${advisoryLock.figures}) as held`;
      if (lock?.held !== true) return false;
      const state = await readFigureState(tx);
      const ended = startOfMinute(state.now.getTime());
      const from = firstToCount(state);
      const to = new Date(Math.min(ended.getTime(), from.getTime() + batchMs));
      if (to.getTime() <= from.getTime()) return false;
      await countMinutes(tx, from, to);
      if (to.getTime() < ended.getTime()) return true;
      for (const minutes of recountMinutes) {
        const again = new Date(ended.getTime() - minutes * minuteMs);
        await countMinutes(tx, again, new Date(again.getTime() + minuteMs));
      }
      await noteLevels(tx, new Date(ended.getTime() - minuteMs), await levels(tx));
      await removeFigures(tx, removedRows);
      return false;
    });
  }

  return {
    step,
    run: async (signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        let isBehind = false;
        try {
          isBehind = await step();
        } catch (error) {
          log.warn({ error: messageOf(error) }, 'the figures of the last minute were not counted; will retry');
        }
        if (isBehind) continue;
        const now = clock.now();
        const nextMs = startOfMinute(now - settleMs).getTime() + minuteMs + settleMs - now;
        await clock.sleep(nextMs, signal).catch(() => {});
      }
    },
  };
}

async function levels(q: Queryable | Transaction): Promise<Level[]> {
  const [instances, open, permits] = [await listInstances(q), await countOpenDeliveries(q), await readPermitUse(q)];
  const useOf = (scope: string) => permits.find((each) => each.scope === scope);
  const waitingOf = (each: { owed: number; released: number } | undefined) =>
    each === undefined ? 0 : each.owed + each.released;
  const ofInstances = instances.map(({ id, name }): Level => {
    const [use, own] = [useOf(id), open.find(({ instanceId }) => instanceId === id)];
    return {
      ...{ subject: `instance:${name}`, waiting: waitingOf(own), suspects: own?.suspects ?? 0 },
      ...{ inFlight: use?.taken ?? 0, budget: use?.size ?? null },
    };
  });
  const domain: Level = {
    subject: 'domain',
    waiting: open.reduce((sum, each) => sum + waitingOf(each), 0),
    inFlight: useOf('domain')?.taken ?? 0,
    suspects: useOf('suspects')?.taken ?? 0,
    budget: useOf('domain')?.size ?? null,
  };
  return [domain, ...ofInstances];
}
