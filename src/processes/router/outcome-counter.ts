/**
 * What became of devices' requests, as devices see it: answered or not, and how fast. Gates judge by this, so it must neither
 * depend on the instance that is judged nor be at a stranger's hand.
 *
 * Invariant: a device counts once in an interval at most, and only for requests of the sender for which an instance has
 * answered its path token: the same certificate in TLS, or, where none is shown, the same address. A failure counts also
 * where nobody was answered yet, if an instance knows the certificate as a device's: after a router's start the first request
 * may be the one that fails. So strangers, whatever tokens they send, add nothing here, neither requests nor memory.
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
  /** Identifier of the instance that was asked, or would have been; null where nobody could say. */
  owner: string | null;
  status: number;
  latencyMs: number;
}

export interface OutcomeLimits {
  /** Devices remembered as proven; of more, those whose proof is oldest are forgotten. */
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
   * A request was answered, or given up. Of a device's requests in an interval the first counts, unless a later one fails.
   * `unheard` where nothing was counted since no device was answered at this token before: it counts if it is `vouched` for.
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

  /** What was counted since the last time; the next interval begins. */
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
