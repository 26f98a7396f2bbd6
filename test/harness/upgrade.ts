/** A phased upgrade under test: planned and started by REST, watched by plain SQL, its coordinator killed. */
import { setTimeout as delay } from 'node:timers/promises';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { printStates, until } from '../../src/testing/condition.ts';
import type { BuiltArchive } from './archives.ts';
import type { RunningDomain } from './domain.ts';
import { type UpgradeView, viewUpgrade } from './upgrade-view.ts';

/** Gates that never close: for tests in which processes die on purpose. */
export const openGate = {
  leastRequests: 1,
  baselineHours: 1,
  patienceSeconds: 20,
  maxErrorRateDifference: 1,
  latencyFactor: 1000,
  latencySlackMs: 600_000,
};

/**
 * Plans and starts; no backup was verified here, so that warning is overridden. `overrides` names more: `components` where a
 * test has stopped one, whose lease may end before the checks look.
 */
export async function startUpgrade(
  domain: RunningDomain,
  to: BuiltArchive,
  options: object,
  overrides: readonly string[] = [],
): Promise<void> {
  await domain.api.call(upgradeOperations.plan, { body: { archive: to.file, ...options } });
  await domain.api.call(upgradeOperations.start, { body: { overrides: ['backup', ...overrides] } });
}

/** Waits until the upgrade is in one of `states`, or `enough` says so. @throws Error when it pauses on the way. */
export async function untilUpgrade(
  domain: RunningDomain,
  states: readonly string[],
  { timeoutMs = 120_000, enough }: { timeoutMs?: number; enough?: (view: UpgradeView) => boolean } = {},
): Promise<UpgradeView> {
  let view: UpgradeView | undefined;
  await until(`the upgrade is ${states.join(' or ')}`, timeoutMs, async () => {
    view = await viewUpgrade(domain);
    return states.includes(view.state) || enough?.(view) === true || view.state === 'paused';
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; it stands: ${JSON.stringify(view)}`, { cause: error });
  });
  if (!view) throw new Error('there is no upgrade');
  if (view.state === 'paused' && !states.includes('paused')) {
    await printStates();
    throw new Error(`the upgrade paused: ${view.pauseReason}`);
  }
  return view;
}

export interface CoordinatorKiller {
  /** States in which the coordinator was killed, once each. */
  readonly killedIn: ReadonlySet<string>;
  stop(): Promise<void>;
}

/** Kills the coordinator (kill -9) in each of `states`, once, as soon as one is seen at work in it. */
export function startCoordinatorKiller(domain: RunningDomain, states: readonly string[]): CoordinatorKiller {
  const killedIn = new Set<string>();
  const ending = new AbortController();
  const running = (async () => {
    while (!ending.signal.aborted) {
      await killOnce(domain, states, killedIn).catch(() => {
        // The database is being restarted, or the process has already exited: the next look will tell.
      });
      // The states up to the moves pass in a moment.
      const pauseMs = killedIn.has('moving') ? 100 : 15;
      await delay(pauseMs, undefined, { signal: ending.signal }).catch(() => {});
    }
  })();
  return {
    killedIn,
    async stop() {
      ending.abort();
      await running;
    },
  };
}

async function killOnce(domain: RunningDomain, states: readonly string[], killedIn: Set<string>): Promise<void> {
  const [seen] = await domain.sql<{ state: string; id: number }[]>`
    select u.state, c.process_id as id from upgrade u, component c
     where u.state not in ('done', 'reversed', 'cancelled') and c.name = 'upgrade-coordinator' and c.stopped_at is null
       and u.progress->>'started' = 'true'`;
  if (!seen || !states.includes(seen.state) || killedIn.has(seen.state)) return;
  process.kill(seen.id, 'SIGKILL');
  killedIn.add(seen.state);
}
