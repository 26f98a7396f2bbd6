/**
 * Who holds the room at the public port, as rules without I/O.
 *
 *   connection: accepted (unproven) → proven (an instance answered it as the device that it says it is) → gone
 *   request:    begun → whole (its body has come) → over
 *
 * Invariant: nothing that proved an identity is cut to make room for others, and as long as there is
 * anything else to cut, the newcomer gets in: the oldest unproven connection, or unproven request whose body is still
 * arriving, is cut, since it has had the most time. Limits per address apply only while there is little room, because
 * thousands of devices may share one; limits per identity always apply, because it is one device.
 */
import { addressGroup } from '../../base/address-group.ts';
import { keptForProven, nearlyFull, type PublicLimits } from './public-limits.ts';

/** Why a connection was cut, a request refused or a handshake put off; labels of a metric. */
export type LimitReason =
  | 'no-request-in-time'
  /** Had to wait for its turn. */
  | 'handshakes'
  | 'connections'
  | 'connections-of-address'
  | 'connections-of-identity'
  | 'requests'
  | 'requests-of-address'
  | 'requests-of-identity'
  | 'requests-of-connection'
  | 'large-bodies'
  | 'control-frames'
  | 'refused-frames'
  /** A trusted balancer sent no PROXY header, or one that is not taken. */
  | 'balancer-header';

export interface PublicConnection {
  readonly address: string;
  readonly proven: boolean;
  readonly requests: number;
}

/** A request's slot among those under way. */
export interface RequestPlace {
  /** Its body has arrived: it no longer gives way. */
  whole(): void;
  /** Its work is done, whatever became of its stream or connection. */
  end(): void;
}

class Entry implements PublicConnection {
  address: string;
  readonly cut: (reason: LimitReason) => void;
  readonly places = new Set<Place>();
  identity: string | null = null;
  requests = 0;
  gone = false;

  constructor(address: string, cut: (reason: LimitReason) => void) {
    this.address = address;
    this.cut = cut;
  }

  get proven(): boolean {
    return this.identity !== null;
  }

  /** Whose share it uses. */
  get holder(): string {
    return this.identity === null ? `address ${this.address}` : `identity ${this.identity}`;
  }
}

interface Place extends RequestPlace {
  entry: Entry;
  over: boolean;
  giveWay: (reason: LimitReason) => void;
}

/** What one unproven address, or one identity, holds. In the order of insertion: the first is the oldest. */
interface Share {
  connections: Set<Entry>;
  /** Begun and incomplete requests of unproven senders. */
  unfinished: Set<Place>;
  requests: number;
}

type RoomLimits = Omit<
  PublicLimits,
  'handshakesPerSecond' | 'firstRequestMs' | 'idleMs' | 'controlFrames' | 'controlFramesPerSecond'
>;

export class PublicConnections {
  readonly #limits: RoomLimits;
  readonly #unproven = new Set<Entry>();
  readonly #unfinished = new Set<Place>();
  readonly #shares = new Map<string, Share>();
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

  /** Addresses and identities that hold anything. */
  get holders(): number {
    return this.#shares.size;
  }

  /** A connection was accepted; `cut` ends it when its place is needed, which may be at once. */
  enter(remoteAddress: string, cut: (reason: LimitReason) => void): PublicConnection {
    const entry = new Entry(addressGroup(remoteAddress), cut);
    this.#unproven.add(entry);
    this.#connections += 1;
    this.#countForAddress(entry);
    if (this.#connections > this.#limits.connections) this.#cutOldest(this.#unproven, 'connections');
    return entry;
  }

  /** A balancer told whose connection it is, before anything was asked on it: from now on it counts as that client's. */
  belongsTo(connection: PublicConnection, remoteAddress: string): void {
    const entry = connection as Entry;
    if (entry.gone) return;
    const before = this.#shareOf(entry);
    before.connections.delete(entry);
    this.#tidy(entry.holder, before);
    entry.address = addressGroup(remoteAddress);
    this.#countForAddress(entry);
  }

  #countForAddress(entry: Entry): void {
    const { connections } = this.#shareOf(entry);
    connections.add(entry);
    const { connections: max, connectionsOfAddress } = this.#limits;
    if (this.#connections > nearlyFull * max && connections.size > connectionsOfAddress) {
      this.#cutOldest(connections, 'connections-of-address');
    }
  }

  /**
   * An instance, or a connection service, has verified the identity of the device: one enrolment, or one certificate.
   * The first identity that a connection proves is bound to it from then on.
   */
  prove(connection: PublicConnection, identity: string): void {
    const entry = connection as Entry;
    if (entry.gone || !this.#unproven.delete(entry)) return;
    for (const place of entry.places) this.#settle(place);
    const before = this.#shareOf(entry);
    before.connections.delete(entry);
    before.requests -= entry.requests;
    this.#tidy(entry.holder, before);
    entry.identity = identity;
    const own = this.#shareOf(entry);
    own.connections.add(entry);
    own.requests += entry.requests;
    if (own.connections.size > this.#limits.connectionsOfIdentity) {
      this.#cutOldest(own.connections, 'connections-of-identity');
    }
  }

  leave(connection: PublicConnection): void {
    const entry = connection as Entry;
    if (entry.gone) return;
    entry.gone = true;
    this.#connections -= 1;
    this.#unproven.delete(entry);
    const own = this.#shareOf(entry);
    own.connections.delete(entry);
    this.#tidy(entry.holder, own);
  }

  /** @param giveWay ends the request without an answer of its own when its place is needed, before its body is whole. */
  beginRequest(connection: PublicConnection, giveWay: (reason: LimitReason) => void): RequestPlace | LimitReason {
    const entry = connection as Entry;
    const own = this.#shareOf(entry);
    const refused = this.#makeRoom(entry, own);
    if (refused !== null) {
      this.#tidy(entry.holder, own);
      return refused;
    }
    const place: Place = { entry, over: false, giveWay, whole: () => this.#settle(place), end: () => this.#end(place) };
    entry.places.add(place);
    if (!entry.proven) {
      own.unfinished.add(place);
      this.#unfinished.add(place);
    }
    own.requests += 1;
    entry.requests += 1;
    this.#requests += 1;
    return place;
  }

  #makeRoom(entry: Entry, own: Share): LimitReason | null {
    const { requests, requestsOfAddress, requestsOfIdentity, requestsOfConnection } = this.#limits;
    if (entry.requests >= requestsOfConnection) return 'requests-of-connection';
    if (entry.proven) {
      if (own.requests >= requestsOfIdentity) return 'requests-of-identity';
    } else if (this.#requests >= nearlyFull * requests && own.requests >= requestsOfAddress) {
      if (!this.#displaceOldest(own.unfinished, 'requests-of-address')) return 'requests-of-address';
    }
    const max = entry.proven ? requests : Math.max(1, keptForProven * requests);
    if (this.#requests >= max && !this.#displaceOldest(this.#unfinished, 'requests')) return 'requests';
    return null;
  }

  /** It no longer gives way to others. */
  #settle(place: Place): void {
    if (this.#unfinished.delete(place)) this.#shareOf(place.entry).unfinished.delete(place);
  }

  #end(place: Place): void {
    if (place.over) return;
    place.over = true;
    this.#settle(place);
    const { entry } = place;
    entry.places.delete(place);
    entry.requests -= 1;
    this.#requests -= 1;
    const own = this.#shareOf(entry);
    own.requests -= 1;
    this.#tidy(entry.holder, own);
  }

  #shareOf({ holder }: Entry): Share {
    let own = this.#shares.get(holder);
    if (!own) {
      own = { connections: new Set(), unfinished: new Set(), requests: 0 };
      this.#shares.set(holder, own);
    }
    return own;
  }

  #tidy(holder: string, own: Share): void {
    if (own.connections.size === 0 && own.requests === 0) this.#shares.delete(holder);
  }

  #cutOldest(among: ReadonlySet<Entry>, reason: LimitReason): void {
    const [oldest] = among;
    if (!oldest) return;
    this.leave(oldest);
    oldest.cut(reason);
  }

  #displaceOldest(among: ReadonlySet<Place>, reason: LimitReason): boolean {
    const [oldest] = among;
    if (!oldest) return false;
    this.#end(oldest);
    oldest.giveWay(reason);
    return true;
  }
}
