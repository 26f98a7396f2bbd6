/**
 * Turns owed deliveries into commands, with the compilers of this release's platforms. Invariant: a compilation error
 * fails one delivery, with its reason, and does not affect the rest of the batch.
 */
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import type { Order } from '../platforms/order.ts';
import { loadEffectivePolicies } from '../policies/effective-policy-store.ts';
import { listServices } from '../services/service-store.ts';
import { createOrders, type MakeOrder, type OrderFacts, type OrderSources } from './orders.ts';
import type { Candidate, PreparedDelivery, Settlement } from './release-store.ts';

interface CompilerFacts extends OrderFacts {
  /** The orders that make devices renew their identity, by device; a delivery without one stays owed. */
  readonly renewalOrders: RenewalOrders;
}

export type RenewalOrders = (q: Queryable, candidates: readonly Candidate[]) => Promise<ReadonlyMap<string, MakeOrder>>;

interface PreparedBatch {
  readonly prepared: PreparedDelivery[];
  readonly settlements: Settlement[];
}

/**
 * Prepares candidates that were read earlier, from policies and services that are read now (never the other way round).
 */
export type Prepare = (q: Queryable, candidates: readonly Candidate[]) => Promise<PreparedBatch>;

/** Prepared before yielding the event loop. */
const maxCandidates = 4;
/** Causes for which content is not resent to a device that already has it. */
const sentOnlyWhenChanged: ReadonlySet<string> = new Set(['policy-change', 'service-change']);

export function createPreparation(facts: CompilerFacts): Prepare {
  const orders = createOrders(facts);

  async function sourcesFor(q: Queryable, candidates: readonly Candidate[]): Promise<OrderSources> {
    const wants = (item: Candidate['item']) => candidates.filter((candidate) => candidate.item === item);
    const accountIds = wants('it-policy').map((candidate) => candidate.accountId);
    return {
      policies: await loadEffectivePolicies(q, accountIds),
      services: wants('service-books').length === 0 ? [] : await listServices(q),
      renewals: await renewalsFor(facts, q, wants('device-identity')),
    };
  }

  return async (q, candidates) => {
    const sources = await sourcesFor(q, candidates);
    const batch: PreparedBatch = { prepared: [], settlements: [] };
    for (const [index, candidate] of candidates.entries()) {
      // A whole batch at once would block every device of this process.
      if (index % maxCandidates === maxCandidates - 1) await setImmediate();
      if (candidate.item === 'device-identity' && !sources.renewals.has(candidate.deviceId)) continue;
      try {
        const order = orders.for(candidate, sources);
        const settled = order ? settlementOf(candidate, order) : notTaken(candidate);
        if (settled) batch.settlements.push(settled);
        else if (order) batch.prepared.push(commandOf(candidate, order));
      } catch (error) {
        batch.settlements.push({
          candidate,
          revision: null,
          state: 'failed',
          reason: `could not be compiled: ${messageOf(error)}`,
        });
      }
    }
    return batch;
  };
}

/** An error in reading them is one of each candidate. */
async function renewalsFor(
  facts: CompilerFacts,
  q: Queryable,
  candidates: readonly Candidate[],
): Promise<OrderSources['renewals']> {
  try {
    return await facts.renewalOrders(q, candidates);
  } catch (error) {
    const fail: MakeOrder = () => {
      throw error;
    };
    return new Map(candidates.map(({ deviceId }) => [deviceId, fail]));
  }
}

function settlementOf(candidate: Candidate, order: Order): Settlement | undefined {
  if (candidate.appliedRevision !== order.revision || !sentOnlyWhenChanged.has(candidate.cause)) return undefined;
  return {
    candidate,
    revision: order.revision,
    state: 'superseded',
    reason: 'unchanged: the device already has this revision',
  };
}

function notTaken(candidate: Candidate): Settlement {
  return { candidate, revision: null, state: 'superseded', reason: 'not supported by this kind of device' };
}

function commandOf(candidate: Candidate, order: Order): PreparedDelivery {
  const commandId = newId<string>();
  const { revision, requestType } = order;
  return { candidate, revision, commandId, requestType, body: order.write(commandId) };
}
