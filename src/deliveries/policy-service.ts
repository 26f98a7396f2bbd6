/**
 * The policy service inside a server instance: releases owed deliveries of the instance's accounts, as the budget
 * allows; wakes their devices; makes silent ones suspects; records what holds sending back. Invariant: every turn
 * starts from the database, so if a service is killed anywhere, the next turn of another continues; a failing step is
 * logged and does not prevent the others. It works only for the accounts of its own instance, except for deliveries
 * abandoned by instances that take no turns (suspects.ts); each write is under the account fence.
 */
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { takeTurns } from '../base/turns.ts';
import type { Database } from '../database/connection.ts';
import { recordEvent } from '../domain/events.ts';
import type { SkippedPart } from '../platforms/order.ts';
import type { Platforms } from '../platforms/port.ts';
import type { WakeClient } from '../platforms/waking.ts';
import type { Logger } from '../process/log/logger.ts';
import { createGuardedSteps } from './guarded-steps.ts';
import { createPaces } from './paces.ts';
import { createPreparation, type RenewalOrders } from './prepare-deliveries.ts';
import type { Candidate, Compiler } from './release-store.ts';
import { createReleasing } from './releasing.ts';
import { createRenewalTurns } from './renewal-turns.ts';
import { createServiceChores } from './service-chores.ts';
import { type TurnParts, takeTurn } from './service-turn.ts';
import { createWaker } from './waker.ts';

interface PolicyServiceOptions {
  readonly db: Database;
  readonly instance: { readonly id: string; readonly srpIdentifier: string; readonly name: string };
  /** Of this process: included in what it compiles. */
  readonly release: string;
  readonly isReplaced?: Compiler['isReplaced'];
  readonly domain: {
    readonly domainId: string;
    readonly name: string;
    readonly publicUrl: string;
    readonly tunnelHost: string;
    readonly wakeChannel: string;
  };
  readonly platforms: Platforms;
  /** By platform. */
  readonly wakeClients: ReadonlyMap<string, Pick<WakeClient, 'wake' | 'pausedForMs'>>;
  readonly identityRenewal: {
    /** Whether every component supports renewals. */
    readonly isActive: () => Promise<boolean>;
    readonly orders: RenewalOrders;
  };
  readonly clock: Clock;
  readonly log: Logger;
  /** Time between two turns while something is to be sent. Default 200 ms. */
  readonly turnMs?: number;
}

interface PolicyServiceCounts {
  readonly released: number;
  /** Settled without sending, because there was nothing to send after all. */
  readonly settled: number;
  readonly suspects: number;
  readonly woken: number;
  readonly failedSteps: number;
}

export interface PolicyService {
  /** Takes turns until the signal is aborted, then resolves, with no push in progress. */
  run(signal: AbortSignal): Promise<void>;
  /** One turn; pushes go on behind it (see {@link PolicyService.pushed}). Never rejects. */
  tick(signal?: AbortSignal): Promise<void>;
  /** Resolves when no push is in progress. */
  pushed(): Promise<void>;
  counts(): PolicyServiceCounts;
}

export function createPolicyService(options: PolicyServiceOptions): PolicyService {
  const { db, instance, clock, log, domain } = options;
  const steps = createGuardedSteps(log);
  const prepare = createPreparation({
    domain: { domainId: domain.domainId, name: domain.name, tunnelUrl: tunnelUrlOf(domain) },
    srpIdentifier: instance.srpIdentifier,
    release: options.release,
    onSkipped: (candidate, skipped) => {
      log.warn({ account: candidate.accountName, item: candidate.item, skipped }, 'parts were omitted');
      steps.inBackground('report what was left out', () => recordSkipped(db, candidate, skipped));
    },
    platforms: options.platforms,
    renewalOrders: options.identityRenewal.orders,
  });
  const own = { db, instanceId: instance.id, clock };
  const by = {
    ...{ instanceId: instance.id, release: options.release },
    ...(options.isReplaced && { isReplaced: options.isReplaced }),
  };
  const releasing = createReleasing({ db, by, prepare, clock });
  const chores = createServiceChores({ ...own, steps });
  const waker = createWaker({ ...own, log, channel: domain.wakeChannel, clients: options.wakeClients });
  const parts: TurnParts = {
    ...{ db, instanceId: instance.id, steps, chores, releasing, waker },
    paces: createPaces(db, instance.id, clock),
    renewals: createRenewalTurns({ ...own, isActive: options.identityRenewal.isActive }),
    busyMs: options.turnMs ?? 200,
  };
  let woken = 0;

  async function turn(signal?: AbortSignal): Promise<number> {
    const outcome = await takeTurn(parts, signal);
    woken += outcome.woken;
    return outcome.restMs;
  }

  async function pushed(): Promise<void> {
    await waker.idle();
    await steps.settled();
  }

  async function run(signal: AbortSignal): Promise<void> {
    const bell = createBell(clock);
    let listening: { unlisten(): Promise<void> } | undefined;
    // Without notifications every turn still happens, only later.
    await steps.take('listen', async () => {
      listening = await db.listen('bramble_delivery', bell.ring);
    });
    try {
      await takeTurns(bell, signal, () => turn(signal));
    } finally {
      await steps.take('stop listening', async () => void (await listening?.unlisten()));
      await pushed();
    }
  }

  return {
    run,
    tick: async (signal) => void (await turn(signal)),
    pushed,
    counts: () => ({ ...releasing.counts(), suspects: chores.suspects(), woken, failedSteps: steps.failed() }),
  };
}

async function recordSkipped(db: Database, candidate: Candidate, skipped: readonly SkippedPart[]): Promise<void> {
  const parts = skipped.map((part) => part.message).join('; ');
  await recordEvent(db, {
    kind: 'delivery-part-skipped',
    subject: candidate.accountName,
    message:
      `Omitted from the ${candidate.item} for ${candidate.accountName} and others like it: ${parts}. The rest was ` +
      'sent.',
    detail: { skipped },
  });
}

function tunnelUrlOf(domain: { readonly publicUrl: string; readonly tunnelHost: string }): string {
  const { port } = new URL(domain.publicUrl);
  return `https://${domain.tunnelHost}${port === '' ? '' : `:${port}`}`;
}
