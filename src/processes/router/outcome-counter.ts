/**
 * Request outcomes as devices see them: answered or not, and how fast. Gates judge by this, so it must neither depend
 * on the instance being judged nor be open to manipulation by strangers.
 *
 * Invariant: a device counts at most once in an interval, and only for requests of the sender for which an instance has
 * answered its path token: the same certificate in TLS, or, where none is shown, the same address. Before the first
 * answer, a failure also counts if an instance knows the certificate as a device's: after a router starts, the first
 * request may be the one that fails. So strangers, whatever tokens they send, add neither requests nor memory here.
 */
import { hash } from 'node:crypto';
import { addressGroup } from '../../base/address-group.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import type { RequestOutcome } from '../../link/messages.ts';
import type { DeviceAddress } from '../../platforms/protocol.ts';
import type { Sender } from './forwarded-headers.ts';
import { isJudged, provesIdentity } from './proven-identity.ts';

export interface SeenRequest {
  address: DeviceAddress;
  sender: Sender;
  /** Identifier of the instance that was asked, or would have been; null when unknown. */
  owner: string | null;
  status: number;
  latencyMs: number;
}

interface OutcomeLimits {
  /** Devices remembered as proven; beyond this, those with the oldest proof are forgotten. */
  provenDevices: number;
  /** Devices counted in an interval. */
  outcomes: number;
}

const defaultOutcomeLimits: OutcomeLimits = { provenDevices: 200_000, outcomes: 50_000 };

export class OutcomeCounter {
  readonly #limits: OutcomeLimits;
  /** Sender by path token, the oldest proof first. */
  readonly #proven: BoundedMap<string, string>;
  readonly #senders = new WeakMap<Sender, string>();
  #outcomes = new Map<string, RequestOutcome>();

  constructor(limits: OutcomeLimits = defaultOutcomeLimits) {
    this.#limits = limits;
    this.#proven = new BoundedMap(limits.provenDevices);
  }

  /**
   * A request was answered, or given up. The first of a device's requests in an interval counts, unless a later one
   * fails. `unheard` when nothing was counted because no device has been answered at this token before: it counts if it
   * is `vouched` for.
   */
  count(seen: SeenRequest, vouched = false): 'done' | 'unheard' {
    const { address, sender, status } = seen;
    if (!isJudged(address)) return 'done';
    if (provesIdentity(address, status)) this.#proven.set(address.token, this.#nameOf(sender));
    const provenAs = this.#proven.get(address.token);
    if (provenAs === undefined && !vouched) return 'unheard';
    if (provenAs === undefined || provenAs === this.#nameOf(sender)) this.#add(seen);
    return 'done';
  }

  #add({ address: { token }, owner, status, latencyMs }: SeenRequest): void {
    const failed = status >= 500;
    const before = this.#outcomes.get(token);
    if (before === undefined ? this.#outcomes.size >= this.#limits.outcomes : before.failed || !failed) return;
    const rounded = Math.min(600_000, Math.max(0, Math.round(latencyMs)));
    this.#outcomes.set(token, { token, identifier: owner, failed, latencyMs: rounded });
  }

  /** Returns what was counted since the last call, and begins the next interval. */
  take(): RequestOutcome[] {
    const taken = [...this.#outcomes.values()];
    this.#outcomes = new Map();
    return taken;
  }

  #nameOf(sender: Sender): string {
    const known = this.#senders.get(sender);
    if (known !== undefined) return known;
    const { clientCertificate, remoteAddress } = sender;
    const name =
      clientCertificate === null
        ? `address ${addressGroup(remoteAddress)}`
        : `certificate ${hash('sha256', clientCertificate, 'base64url')}`;
    this.#senders.set(sender, name);
    return name;
  }
}
