/**
 * What an owed delivery orders from its device, by the compilers of this release's platforms. Compiled policies are kept:
 * many devices get the same one. Invariant: parts that were left out are reported once for each content.
 */
import { BoundedMap } from '../base/bounded-map.ts';
import type { Order, SkippedPart } from '../platforms/order.ts';
import type { Platform, Platforms } from '../platforms/port.ts';
import type { EffectivePolicy } from '../policies/effective-policy.ts';
import type { StoredService } from '../services/service-store.ts';
import type { Candidate } from './release-store.ts';

export interface OrderFacts {
  readonly domain: { readonly domainId: string; readonly name: string; readonly tunnelUrl: string };
  readonly srpIdentifier: string;
  readonly release: string;
  readonly platforms: Platforms;
  /** Called once per kind of content in which parts were left out for a reason other than the kind of device. */
  readonly onSkipped: (candidate: Candidate, skipped: readonly SkippedPart[]) => void;
}

/** Created on demand, so that an error fails one device only. */
export type MakeOrder = () => Order;

export interface OrderSources {
  /** By account. */
  readonly policies: ReadonlyMap<string, EffectivePolicy>;
  readonly services: readonly StoredService[];
  /** By device. */
  readonly renewals: ReadonlyMap<string, MakeOrder>;
}

interface Orders {
  /** Undefined if this kind of device takes no such delivery. Throws if it cannot be compiled. */
  for(candidate: Candidate, sources: OrderSources): Order | undefined;
}

/** Different policies × kinds of devices that are kept compiled. */
const maxKept = 500;

export function createOrders(facts: OrderFacts): Orders {
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

  function orderFor(candidate: Candidate, sources: OrderSources): Order | undefined {
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

  return { for: orderFor };
}
