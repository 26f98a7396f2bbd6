/**
 * Turns owed deliveries into commands, with the compilers of this release's platforms. Invariant: a compilation error
 * fails one delivery, with its reason, and does not affect the rest of the batch.
 */

import { setImmediate } from 'node:timers/promises';
import { BoundedMap } from '../base/bounded-map.ts';
import { messageOf } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import type { Order, SkippedPart } from '../platforms/order.ts';
import type { Platform, Platforms } from '../platforms/port.ts';
import type { EffectivePolicy } from '../policies/effective-policy.ts';
import { loadEffectivePolicies } from '../policies/effective-policy-store.ts';
import { listServices, type StoredService } from '../services/service-store.ts';
import type { Candidate, PreparedDelivery, Settlement } from './release-store.ts';

export interface CompilerFacts {
  readonly domain: { readonly domainId: string; readonly name: string; readonly tunnelUrl: string };
  readonly srpIdentifier: string;
  readonly release: string;
  readonly platforms: Platforms;
  /** Called once per kind of content in which parts were left out for a reason other than the kind of device. */
  readonly onSkipped: (candidate: Candidate, skipped: readonly SkippedPart[]) => void;
  /** The orders that make devices renew their identity, by device; a delivery without one stays owed. */
  readonly renewalOrders: RenewalOrders;
}

/** Created on demand, so that an error fails one device only. */
export type MakeOrder = () => Order;

export type RenewalOrders = (q: Queryable, candidates: readonly Candidate[]) => Promise<ReadonlyMap<string, MakeOrder>>;

export interface PreparedBatch {
  readonly prepared: PreparedDelivery[];
  readonly settlements: Settlement[];
}

/**
 * Prepares candidates that were read earlier, from policies and services that are read now (never the other way round).
 */
export type Prepare = (q: Queryable, candidates: readonly Candidate[]) => Promise<PreparedBatch>;

interface Sources {
  readonly policies: ReadonlyMap<string, EffectivePolicy>;
  readonly services: readonly StoredService[];
  readonly renewals: ReadonlyMap<string, MakeOrder>;
}

/** Prepared before yielding the event loop. */
const candidatesAtOnce = 4;
/** Different policies × kinds of devices that are kept compiled. */
const maxKept = 500;
/** Causes for which content is not resent to a device that already has it. */
const sentOnlyWhenChanged: ReadonlySet<string> = new Set(['policy-change', 'service-change']);

export function createPreparation(facts: CompilerFacts): Prepare {
  const compiledPolicies = new BoundedMap<string, Order>(maxKept);
  const reported = new BoundedMap<string, true>(maxKept);

  function report(key: string, candidate: Candidate, skipped: readonly SkippedPart[]): void {
    const unexpected = skipped.filter((part) => part.reason !== 'not-for-device');
    if (unexpected.length === 0 || reported.has(key)) return;
    reported.set(key, true);
    facts.onSkipped(candidate, unexpected);
  }

  function policyFor({ name, compiler }: Platform, candidate: Candidate, policy: EffectivePolicy): Order {
    const key = `${name} ${policy.identity} ${compiler.variantOf(candidate)}`;
    let compiled = compiledPolicies.get(key);
    if (!compiled) {
      compiled = compiler.policy({
        domain: facts.domain,
        rules: policy.rules,
        device: candidate,
        release: facts.release,
      });
      compiledPolicies.set(key, compiled);
    }
    report(policy.identity, candidate, compiled.skipped);
    return compiled;
  }

  function orderFor(candidate: Candidate, sources: Sources): Order | undefined {
    const platform = facts.platforms.named(candidate.platform);
    if (platform === undefined) throw new TypeError(`this release knows no platform "${candidate.platform}"`);
    switch (candidate.item) {
      case 'it-policy': {
        const policy = sources.policies.get(candidate.accountId);
        return policy && policyFor(platform, candidate, policy);
      }
      case 'service-books': {
        const books = platform.compiler.serviceBooks({
          domain: facts.domain,
          account: { name: candidate.accountName, displayName: candidate.displayName },
          srpIdentifier: facts.srpIdentifier,
          services: sources.services,
          device: candidate,
          release: facts.release,
        });
        if (books) report('service-books', candidate, books.skipped);
        return books;
      }
      case 'device-identity':
        return sources.renewals.get(candidate.deviceId)?.();
      case 'synchronization':
        return platform.compiler.synchronization();
    }
  }

  async function renewalsFor(q: Queryable, candidates: readonly Candidate[]): Promise<Sources['renewals']> {
    try {
      return await facts.renewalOrders(q, candidates);
    } catch (error) {
      const fail: MakeOrder = () => {
        throw error;
      };
      return new Map(candidates.map(({ deviceId }) => [deviceId, fail]));
    }
  }

  return async (q, candidates) => {
    const wants = (item: Candidate['item']) => candidates.filter((candidate) => candidate.item === item);
    const sources: Sources = {
      policies: await loadEffectivePolicies(
        q,
        wants('it-policy').map((candidate) => candidate.accountId),
      ),
      services: wants('service-books').length === 0 ? [] : await listServices(q),
      renewals: await renewalsFor(q, wants('device-identity')),
    };
    const batch: PreparedBatch = { prepared: [], settlements: [] };
    for (const [index, candidate] of candidates.entries()) {
      // A whole batch at once would block every device of this process.
      if (index % candidatesAtOnce === candidatesAtOnce - 1) await setImmediate();
      if (candidate.item === 'device-identity' && !sources.renewals.has(candidate.deviceId)) continue;
      try {
        const order = orderFor(candidate, sources);
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
