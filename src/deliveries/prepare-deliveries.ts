/**
 * Turns owed deliveries into commands, with this release's compiler.
 * Invariant: what cannot be compiled is one delivery's failure, with its reason; the others of the batch are not touched by it.
 */
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import { compilePolicy } from '../platforms/apple/compile-policy.ts';
import { type CompiledProfile, revisionOf, type SkippedPart } from '../platforms/apple/compiled-profile.ts';
import { compileServiceBooks } from '../platforms/apple/service-books.ts';
import { familyOf } from '../policies/device-family.ts';
import type { EffectivePolicy } from '../policies/effective-policy.ts';
import { loadEffectivePolicies } from '../policies/effective-policy-store.ts';
import { type CommandRequest, commandRequest, serializeCommand } from '../protocol/apple/command.ts';
import { synchronizationQueries } from '../protocol/apple/device-information.ts';
import { listServices, type StoredService } from '../services/service-store.ts';
import type { Candidate, PreparedDelivery, Settlement } from './release-store.ts';

export interface CompilerFacts {
  readonly domain: { readonly domainId: string; readonly name: string; readonly tunnelUrl: string };
  readonly srpIdentifier: string;
  readonly release: string;
  /** Told once for each kind of profile in which parts were left out for another reason than the device's kind. */
  readonly onSkipped: (candidate: Candidate, skipped: readonly SkippedPart[]) => void;
  /** The profiles by which devices renew their identity, by device; what has none stays owed. */
  readonly renewalProfiles: RenewalProfiles;
}

/** Made when it is asked for, so that one that cannot be made is one device's failure. */
export type MakeProfile = () => Uint8Array;

export type RenewalProfiles = (
  q: Queryable,
  candidates: readonly Candidate[],
) => Promise<ReadonlyMap<string, MakeProfile>>;

export interface PreparedBatch {
  readonly prepared: PreparedDelivery[];
  readonly settlements: Settlement[];
}

/** Prepares candidates that were read before, from policies and services that are read now (never the other way round). */
export type Prepare = (q: Queryable, candidates: readonly Candidate[]) => Promise<PreparedBatch>;

interface Content {
  readonly revision: string;
  readonly request: CommandRequest;
}

interface Sources {
  readonly policies: ReadonlyMap<string, EffectivePolicy>;
  readonly services: readonly StoredService[];
  readonly renewals: ReadonlyMap<string, MakeProfile>;
}

/** Prepared without letting others have their turn. */
const candidatesAtOnce = 4;
/** Different policies × kinds of devices that are kept compiled. */
const largestCache = 500;
/** Causes for which a device that has the content already is not sent it again. */
const sentOnlyWhenChanged: ReadonlySet<string> = new Set(['policy-change', 'service-change']);

export function createPreparation(facts: CompilerFacts): Prepare {
  const compiledPolicies = new Map<string, CompiledProfile>();
  const reported = new Set<string>();

  function report(key: string, candidate: Candidate, skipped: readonly SkippedPart[]): void {
    const unexpected = skipped.filter((part) => part.reason !== 'not-for-device');
    if (unexpected.length === 0 || reported.has(key)) return;
    if (reported.size >= largestCache) reported.clear();
    reported.add(key);
    facts.onSkipped(candidate, unexpected);
  }

  function policyFor(candidate: Candidate, policy: EffectivePolicy): CompiledProfile {
    const { family, version } = familyOf(candidate);
    const key = `${policy.identity} ${family} ${version}`;
    let compiled = compiledPolicies.get(key);
    if (!compiled) {
      compiled = compilePolicy({
        domain: facts.domain,
        rules: policy.rules,
        device: candidate,
        release: facts.release,
      });
      if (compiledPolicies.size >= largestCache) compiledPolicies.clear();
      compiledPolicies.set(key, compiled);
    }
    report(policy.identity, candidate, compiled.skipped);
    return compiled;
  }

  function contentOf(candidate: Candidate, sources: Sources): Content | undefined {
    switch (candidate.item) {
      case 'it-policy': {
        const policy = sources.policies.get(candidate.accountId);
        return policy && installation(policyFor(candidate, policy));
      }
      case 'service-books': {
        const books = compileServiceBooks({
          domain: facts.domain,
          account: { name: candidate.accountName, displayName: candidate.displayName },
          srpIdentifier: facts.srpIdentifier,
          services: sources.services,
          device: candidate,
          release: facts.release,
        });
        if (books) report('service-books', candidate, books.skipped);
        return books && installation(books);
      }
      case 'device-identity': {
        const bytes = sources.renewals.get(candidate.deviceId)?.();
        return bytes && installation({ bytes, revision: revisionOf(bytes) });
      }
      case 'synchronization':
        return {
          revision: revisionOf(Buffer.from(synchronizationQueries.join('\n'))),
          request: commandRequest.deviceInformation(synchronizationQueries),
        };
    }
  }

  async function renewalsFor(q: Queryable, candidates: readonly Candidate[]): Promise<Sources['renewals']> {
    try {
      return await facts.renewalProfiles(q, candidates);
    } catch (error) {
      const fail: MakeProfile = () => {
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
      // A whole batch at once would keep every device of this process waiting.
      if (index % candidatesAtOnce === candidatesAtOnce - 1) await setImmediate();
      if (candidate.item === 'device-identity' && !sources.renewals.has(candidate.deviceId)) continue;
      try {
        const content = contentOf(candidate, sources);
        const settled = content ? settlementOf(candidate, content) : notTaken(candidate);
        if (settled) batch.settlements.push(settled);
        else if (content) batch.prepared.push(commandOf(candidate, content));
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

function installation(profile: Pick<CompiledProfile, 'bytes' | 'revision'>): Content {
  return { revision: profile.revision, request: commandRequest.installProfile(profile.bytes) };
}

function settlementOf(candidate: Candidate, content: Content): Settlement | undefined {
  if (candidate.appliedRevision !== content.revision || !sentOnlyWhenChanged.has(candidate.cause)) return undefined;
  return {
    candidate,
    revision: content.revision,
    state: 'superseded',
    reason: 'unchanged: the device has this revision already',
  };
}

function notTaken(candidate: Candidate): Settlement {
  return { candidate, revision: null, state: 'superseded', reason: 'a device of this kind does not take it' };
}

function commandOf(candidate: Candidate, content: Content): PreparedDelivery {
  const commandId = newId<string>();
  const body = serializeCommand({ commandUuid: commandId, ...content.request });
  return { candidate, revision: content.revision, commandId, requestType: content.request.requestType, body };
}
