/**
 * A component's registration while it lives: registered once, its lease renewed every two seconds, marked as stopped at
 * an orderly end.
 *
 * Invariant: a component that falls out of the declared range, or whose name another process took over, is told once
 * (`onGone`) and stops renewing. An unreachable database is no reason to stop: it is retried. A component that can have
 * a successor keeps running beside the one that took its name over, and takes the name back if that one fails: the
 * replacing side ends it.
 */
import { type Clock, hasPassed, systemClock } from '../base/clock.ts';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import type { Database } from '../database/connection.ts';
import type { Logger } from '../process/log/logger.ts';
import type { ComponentDetail } from './component-detail.ts';
import {
  type Compatibility,
  type ComponentIdentity,
  leaseSeconds,
  listComponents,
  markStopped,
  recordFailure,
  registerComponent,
  renewLease,
} from './components.ts';
import { readClockAheadMs } from './host-clock.ts';
import { createSuccession } from './succession.ts';

interface RegistrationOptions {
  db: Database;
  component: ComponentIdentity;
  compatibility: Compatibility;
  /** Details beside the lease for `bramble status`: links, queues, counts. */
  detail?: () => ComponentDetail;
  log: Logger;
  /** Ends the loop without a goodbye; {@link Registration.stop} says goodbye. */
  signal?: AbortSignal;
  /** Called once, when the component may not go on: ERR_COMPONENT_GONE, ERR_RELEASE_…, ERR_SCHEMA_… */
  onGone: (error: BrambleError) => void;
  /**
   * Whether a later process of this name and host may register beside this one, which keeps running until it is asked
   * to end.
   */
  isSucceeded?: () => boolean;
  clock?: Clock;
  /** Default 2000. */
  intervalMs?: number;
}

/** A clock that is set right, or goes wrong, is noticed after this. */
const clockReadEveryMs = 60_000;

export interface Registration {
  /** `null` while, as far as this process knows, the lease is held; otherwise why not. */
  readiness(): string | null;
  /** Ends the loop and marks the component as stopped. Safe to call twice. @param failure why its work ended by itself */
  stop(failure?: string): Promise<void>;
}

/**
 * Registers and keeps the lease until stopped.
 * @throws BrambleError ERR_COMPONENT_NAME_TAKEN when a live process on another host has the name, or what
 *   {@link registerComponent} throws.
 */
export async function registerAndKeep(options: RegistrationOptions): Promise<Registration> {
  const { db, component, compatibility, log } = options;
  const clock = options.clock ?? systemClock;
  await assertNameFree(db, component);
  await registerComponent(db, component, compatibility);

  const ending = new AbortController();
  const signal = options.signal === undefined ? ending.signal : AbortSignal.any([options.signal, ending.signal]);
  let renewedAt = clock.now();
  let gone = false;
  let hostClock: { aheadMs: number; readAt: number } | undefined;
  const succession = createSuccession({ db, component, compatibility, clock, log });

  async function clockAheadMs(): Promise<number> {
    if (hostClock === undefined || hasPassed(clock, hostClock.readAt, clockReadEveryMs)) {
      const readAt = clock.now();
      hostClock = { aheadMs: await readClockAheadMs(db), readAt };
    }
    return hostClock.aheadMs;
  }

  async function renew(): Promise<void> {
    try {
      const detail = { ...options.detail?.(), clockAheadMs: await clockAheadMs() };
      if ((await renewLease(db, component, compatibility, detail)) === 'renewed') {
        renewedAt = clock.now();
        succession.reset();
        return;
      }
      if (options.isSucceeded?.() === true && (await succession.goesOn())) {
        renewedAt = clock.now();
        return;
      }
      throw new BrambleError(
        'ERR_COMPONENT_GONE',
        `The registration of ${component.name} was forgotten or taken over by another process of that name; this one stops.`,
      );
    } catch (error) {
      if (!isBrambleError(error)) {
        log.warn({ error: messageOf(error) }, 'lease not renewed; will retry');
        return;
      }
      gone = true;
      options.onGone(error);
    }
  }

  async function loop(): Promise<void> {
    while (!gone) {
      try {
        await clock.sleep(options.intervalMs ?? 2000, signal);
      } catch {
        return;
      }
      await renew();
    }
  }
  const looping = loop();

  return {
    readiness: () => {
      if (gone) return 'its registration is gone';
      return clock.now() - renewedAt > leaseSeconds * 1000 ? 'its lease expired: the database does not answer' : null;
    },
    stop: async (failure) => {
      ending.abort();
      await looping;
      if (gone) return;
      await markStopped(db, component);
      // A coordinator may run before the table exists, and nothing depends on its failures.
      if (failure !== undefined && component.kind !== 'coordinator') await recordFailure(db, component, failure);
    },
  };
}

/** A process of the same host is superseded (a restart need not wait for the lease); a live one elsewhere is not. */
async function assertNameFree(db: Database, component: ComponentIdentity): Promise<void> {
  const rival = (await listComponents(db)).find((candidate) => candidate.name === component.name);
  if (rival?.alive && rival.kind !== 'router' && rival.host !== component.host) {
    throw new BrambleError(
      'ERR_COMPONENT_NAME_TAKEN',
      `A component named ${component.name} is running on ${rival.host} (process ${rival.processId}). Stop that one, ` +
        'or give this one another name.',
      { details: { host: rival.host, processId: rival.processId } },
    );
  }
}
