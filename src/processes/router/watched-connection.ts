/**
 * One connection at the public port, from its acceptance to its end: who it is, what is under way on it, and how long it
 * may be silent.
 *
 * Invariant: it has a timer whenever nothing is under way, and only a whole request stops the one for the first.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { addressGroup } from '../../base/address-group.ts';
import { clientCertificateOf, type Sender } from './forwarded-headers.ts';
import type { LimitReport } from './limit-report.ts';
import type { LimitReason, PublicConnection, PublicConnections, RequestPlace } from './public-connections.ts';
import type { PublicLimits } from './public-limits.ts';

export interface Watched {
  readonly connection: PublicConnection;
  /** Whether it no longer waits for its turn for TLS. */
  readonly turnCame: boolean;
  /**
   * No request is under way, no tunnel stands, and over HTTP/1.1 none has begun to come in. HTTP/2 frames that begin no
   * stream (settings, credit) do not count as a request.
   */
  readonly idle: boolean;
  /** The identity according to TLS. */
  sender(socket: TLSSocket): Sender;
  /** A request arrived completely: its sender is not silent. */
  spoke(): void;
  /** A request begins, or is refused; `giveWay` ends it if its place is needed before its body has arrived. */
  begin(giveWay: () => void): RequestPlace | LimitReason;
  /** A tunnel is open until released; it may be silent for any length of time. */
  hold(): void;
  release(): void;
  cut(reason: LimitReason): void;
  /** Called after a long time without a request. */
  onIdle: () => void;
}

export class WatchedConnection implements Watched {
  readonly connection: PublicConnection;
  onIdle: () => void;
  readonly #socket: Socket;
  readonly #connections: PublicConnections;
  readonly #limits: PublicLimits;
  readonly #report: LimitReport;
  #address: string;
  #spoken = false;
  #sender: Sender | undefined;
  #timer: NodeJS.Timeout | undefined;
  #held = 0;
  #turnCame = false;
  #secured: TLSSocket | undefined;
  /** Bytes received inside TLS when it last became idle; none before the first request. */
  #bytesWhenIdle = 0;

  /** The socket may be destroyed at once, if there is no room. */
  constructor(socket: Socket, connections: PublicConnections, limits: PublicLimits, report: LimitReport) {
    this.#socket = socket;
    this.#connections = connections;
    this.#limits = limits;
    this.#report = report;
    this.#address = socket.remoteAddress ?? '';
    this.onIdle = () => void socket.destroy();
    this.connection = connections.enter(this.#address, (reason) => this.cut(reason));
  }

  get turnCame(): boolean {
    return this.#turnCame;
  }

  get idle(): boolean {
    const isHttp2 = this.#secured?.alpnProtocol === 'h2';
    return this.#held === 0 && (isHttp2 || this.#bytesInTls() === this.#bytesWhenIdle);
  }

  /** From now on a first request is awaited, and from its turn for TLS on once more. */
  awaitRequest(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.cut('no-request-in-time'), this.#limits.firstRequestMs);
  }

  /** It is a balancer's, which told the address of its client. */
  belongsTo(address: string): void {
    this.#address = address;
    this.#connections.belongsTo(this.connection, address);
  }

  takeTurn(): void {
    this.#turnCame = true;
    this.awaitRequest();
  }

  secure(tls: TLSSocket): void {
    this.#secured = tls;
  }

  sender(tls: TLSSocket): Sender {
    this.#sender ??= {
      clientCertificate: clientCertificateOf(tls.getPeerX509Certificate()?.raw),
      remoteAddress: this.#address,
    };
    return this.#sender;
  }

  spoke(): void {
    this.#spoken = true;
    clearTimeout(this.#timer);
  }

  begin(giveWay: () => void): RequestPlace | LimitReason {
    const { address } = this.connection;
    const place = this.#connections.beginRequest(this.connection, (reason) => {
      this.#report.count(reason, address);
      giveWay();
    });
    if (typeof place === 'string') {
      this.#report.count(place, address);
      return place;
    }
    this.hold();
    const end = () => {
      place.end();
      this.release();
    };
    return { whole: place.whole, end };
  }

  hold(): void {
    this.#held += 1;
    if (this.#spoken) clearTimeout(this.#timer);
  }

  release(): void {
    this.#held -= 1;
    this.#bytesWhenIdle = this.#bytesInTls();
    if (this.#held === 0 && this.#spoken && !this.#socket.destroyed) {
      this.#timer = setTimeout(() => this.onIdle(), this.#limits.idleMs);
    }
  }

  cut(reason: LimitReason): void {
    this.#report.count(reason, addressGroup(this.#address));
    this.#socket.destroy();
  }

  /** Its socket has closed. */
  leave(): void {
    clearTimeout(this.#timer);
    this.#connections.leave(this.connection);
  }

  #bytesInTls(): number {
    return this.#secured?.bytesRead ?? 0;
  }
}
