/**
 * Who holds the room at the public port, as rules without I/O.
 *
 *   accepted (unproven) → proven (an instance answered it as the device that it says it is) → gone
 *
 * Invariant: a connection that carried a proven identity is never cut to make room, and while any other is left the
 * newcomer gets in: the oldest of those goes, since it has had the most time. An address counts only while there is
 * little room, because thousands of devices may stand behind one.
 */
import { isIPv4 } from 'node:net';
import { keptForProven, nearlyFull, type PublicLimits } from './public-limits.ts';

/** Why a connection was cut or a request refused; labels of a metric. */
export type LimitReason =
  | 'no-request-in-time'
  | 'connections'
  | 'connections-of-address'
  | 'requests'
  | 'requests-of-address'
  | 'requests-of-connection'
  | 'large-bodies'
  | 'control-frames'
  | 'refused-frames';

export interface PublicConnection {
  readonly address: string;
  readonly proven: boolean;
  readonly requests: number;
}

interface Entry extends PublicConnection {
  proven: boolean;
  requests: number;
  gone: boolean;
  cut: (reason: LimitReason) => void;
}

/** What one address holds without having proved anything. */
interface OfAddress {
  // In the order of insertion: the first is the oldest.
  connections: Set<Entry>;
  requests: number;
}

type RoomLimits = Pick<
  PublicLimits,
  'connections' | 'connectionsOfAddress' | 'requests' | 'requestsOfAddress' | 'requestsOfConnection'
>;

export class PublicConnections {
  readonly #limits: RoomLimits;
  readonly #unproven = new Set<Entry>();
  readonly #addresses = new Map<string, OfAddress>();
  #connections = 0;
  #requests = 0;

  constructor(limits: RoomLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#connections;
  }

  get requests(): number {
    return this.#requests;
  }

  get proven(): number {
    return this.#connections - this.#unproven.size;
  }

  /** Addresses of which something is held. */
  get addresses(): number {
    return this.#addresses.size;
  }

  /** A connection was accepted; `cut` ends it when its place is needed, which may be at once. */
  enter(remoteAddress: string, cut: (reason: LimitReason) => void): PublicConnection {
    const entry: Entry = { address: addressGroup(remoteAddress), proven: false, requests: 0, gone: false, cut };
    const { connections } = this.#of(entry);
    connections.add(entry);
    this.#unproven.add(entry);
    this.#connections += 1;
    const { connections: atMost, connectionsOfAddress } = this.#limits;
    if (this.#connections > nearlyFull * atMost && connections.size > connectionsOfAddress) {
      this.#cutOldest(connections, 'connections-of-address');
    }
    if (this.#connections > atMost) this.#cutOldest(this.#unproven, 'connections');
    return entry;
  }

  /** An instance, or a connection service, has verified the identity of the device. */
  prove(connection: PublicConnection): void {
    const entry = connection as Entry;
    if (entry.gone || !this.#unproven.delete(entry)) return;
    const own = this.#of(entry);
    own.connections.delete(entry);
    own.requests -= entry.requests;
    this.#tidy(entry.address, own);
    entry.proven = true;
  }

  leave(connection: PublicConnection): void {
    const entry = connection as Entry;
    if (entry.gone) return;
    entry.gone = true;
    this.#connections -= 1;
    if (!this.#unproven.delete(entry)) return;
    const own = this.#of(entry);
    own.connections.delete(entry);
    this.#tidy(entry.address, own);
  }

  /** Null when the request may begin; it then ends with `endRequest`, whatever became of its stream or connection. */
  beginRequest(connection: PublicConnection): LimitReason | null {
    const entry = connection as Entry;
    const { requests, requestsOfAddress, requestsOfConnection } = this.#limits;
    if (entry.requests >= requestsOfConnection) return 'requests-of-connection';
    if (this.#requests >= (entry.proven ? requests : Math.max(1, keptForProven * requests))) return 'requests';
    if (!entry.proven) {
      const own = this.#of(entry);
      if (this.#requests >= nearlyFull * requests && own.requests >= requestsOfAddress) return 'requests-of-address';
      own.requests += 1;
    }
    entry.requests += 1;
    this.#requests += 1;
    return null;
  }

  endRequest(connection: PublicConnection): void {
    const entry = connection as Entry;
    entry.requests -= 1;
    this.#requests -= 1;
    if (entry.proven) return;
    const own = this.#of(entry);
    own.requests -= 1;
    this.#tidy(entry.address, own);
  }

  #of({ address }: Entry): OfAddress {
    let own = this.#addresses.get(address);
    if (!own) {
      own = { connections: new Set(), requests: 0 };
      this.#addresses.set(address, own);
    }
    return own;
  }

  #tidy(address: string, own: OfAddress): void {
    if (own.connections.size === 0 && own.requests === 0) this.#addresses.delete(address);
  }

  #cutOldest(among: ReadonlySet<Entry>, reason: LimitReason): void {
    const [oldest] = among;
    if (!oldest) return;
    this.leave(oldest);
    oldest.cut(reason);
  }
}

/** Those who share an address: of IPv4 the address, of IPv6 the /64 that one customer has. */
export function addressGroup(remoteAddress: string): string {
  const mapped = remoteAddress.replace(/^::ffff:/i, '');
  if (isIPv4(mapped)) return mapped;
  const [address = ''] = remoteAddress.toLowerCase().split('%');
  const [front = '', back] = address.split('::');
  const head = front === '' ? [] : front.split(':');
  const tail = back === undefined || back === '' ? [] : back.split(':');
  const zeros = back === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...Array.from({ length: zeros }, () => '0'), ...tail];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
