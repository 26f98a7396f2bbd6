/**
 * Keeps one link to one router up: dial, answer the router's questions, serve until the link ends, dial again.
 *
 *   waiting → dialling → offered (TLS stands, the router has not decided) → up ⇄ stalled → (retiring →) waiting …
 *
 * A router that drains says so first: the dialler then opens the next link while the old one still serves, so that a
 * replaced router costs no request. Retries have no end: delay and rate stand in `reconnect-schedule.ts`, and dialling is
 * idempotent, because the router supersedes an earlier link of the same process.
 *
 * Invariant: at most one dial is under way, and a link counts as up only after the router accepted it.
 */
import { EventEmitter, once } from 'node:events';
import type { Http2Session } from 'node:http2';
import { connect, type TLSSocket } from 'node:tls';
import { type Clock, systemClock } from '../base/clock.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import type { RouterAddress, SrpCredential } from './credential.ts';
import { createLinkEndpoint, type LinkHandlers, type LinkNotices } from './link-endpoint.ts';
import { defaultLivenessTimes, type LivenessTimes, watchLiveness } from './liveness.ts';
import { type Accepted, type LinkComponent, linkProtocol, type Refused } from './messages.ts';
import {
  countsTowardsLimit,
  defaultReconnectLimits,
  type ReconnectLimits,
  recentConnections,
  reconnectDelayMs,
  wasSteady,
} from './reconnect-schedule.ts';
import { widenWindow } from './session-options.ts';

export interface LinkOptions {
  router: RouterAddress;
  /** Asked before each dial, so that a renewed credential is taken up. */
  credential: () => SrpCredential | Promise<SrpCredential>;
  component: LinkComponent;
  handlers: LinkHandlers;
  limits?: Partial<ReconnectLimits>;
  liveness?: LivenessTimes;
  /** For dialling, handshake and the router's decision. Default 10000. */
  dialTimeoutMs?: number;
  clock?: Clock;
  /** In [0, 1). */
  random?: () => number;
}

interface LinkEvents {
  /** The router took the link into service. */
  up: [accepted: Accepted];
  /** No link serves any more; `reason` for people. */
  down: [reason: string];
  /** The router is not responding at the moment; the link is still up. */
  stalled: [];
  recovered: [];
  /** ERR_SRP_IN_USE, ERR_SRP_SUSPENDED, ERR_SRP_REVOKED, ERR_SRP_SUPERSEDED, ERR_LINK_VERSION, ERR_LINK_HELLO. */
  refused: [refused: Refused];
  /** A dial or a handler failed; dialling goes on. */
  failed: [error: unknown];
}

export interface SrpLink {
  readonly events: EventEmitter<LinkEvents>;
  readonly router: RouterAddress;
  /** Whether a router has accepted a link that still stands. */
  readonly up: boolean;
  /** On every serving link, the router is not responding at the moment. */
  readonly stalled: boolean;
  /** Links accepted so far, less one. */
  readonly reconnects: number;
  /** Dials again at once, by the credential of now; a link that serves goes on until its successor does. */
  redial(): void;
  /** Ends the link: requests under way are finished within `graceMs` (default 5000), nothing new is taken. */
  close(graceMs?: number): Promise<void>;
  /** Dials no more; the link that stands serves until the router ends it, at most this long. */
  leave(withinMs: number): Promise<void>;
}

/** Starts dialling at once; never throws, failures are events. */
export function connectLink(options: LinkOptions): SrpLink {
  return new Dialler(options);
}

type Ending =
  | { kind: 'closed'; upMs: number | null; brokenByOther: boolean }
  | { kind: 'draining'; upMs: number | null }
  | { kind: 'refused'; refused: Refused; upMs: number | null };

/** Refusals that concern our identity. Other refusals (for example, that we were slow) are ordinary failures. */
const keptOut = /^ERR_(?:SRP_|LINK_VERSION$|LINK_HELLO$)/;

class Dialler implements SrpLink {
  readonly events = new EventEmitter<LinkEvents>();
  readonly router: RouterAddress;
  readonly #options: LinkOptions;
  readonly #clock: Clock;
  readonly #limits: ReconnectLimits;
  /** Nothing is dialled any more. */
  readonly #closing = new AbortController();
  /** And what stands is closed. */
  readonly #ending = new AbortController();
  readonly #endings = new WeakMap<Http2Session, (ending: Ending) => void>();
  /** Accepted links that stand, and since when. */
  readonly #serving = new Map<Http2Session, number>();
  readonly #stalled = new Set<Http2Session>();
  readonly #sessions = new Set<Http2Session>();
  readonly #server;
  readonly #done: Promise<void>;
  #identifier = '';
  #failures = 0;
  #refused = false;
  #connectedAt: number[] = [];
  #accepted = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.router = options.router;
    this.#clock = options.clock ?? systemClock;
    this.#limits = { ...defaultReconnectLimits, ...options.limits };
    const notices: LinkNotices = {
      accepted: (session, accepted) => this.#onAccepted(session, accepted),
      refused: (session, refused) => this.#end(session, { kind: 'refused', refused, upMs: this.#upMs(session) }),
      draining: (session) => this.#end(session, { kind: 'draining', upMs: this.#upMs(session) }),
      failed: (error) => this.events.emit('failed', error),
    };
    this.#server = createLinkEndpoint(() => this.#hello(), options.handlers, notices, this.#ending.signal);
    this.#done = this.#run();
  }

  get up(): boolean {
    return this.#serving.size > 0;
  }

  get stalled(): boolean {
    return this.up && [...this.#serving.keys()].every((session) => this.#stalled.has(session));
  }

  get reconnects(): number {
    return Math.max(0, this.#accepted - 1);
  }

  redial(): void {
    for (const session of this.#serving.keys()) this.#end(session, { kind: 'draining', upMs: this.#upMs(session) });
  }

  async close(graceMs = 5000): Promise<void> {
    this.#closing.abort('closed');
    const closed = [...this.#sessions].map(
      (session) =>
        new Promise<void>((resolve) => {
          const late = setTimeout(() => session.destroy(), graceMs);
          session.once('close', () => {
            clearTimeout(late);
            resolve();
          });
          session.close();
        }),
    );
    // The router was told first, so it does not open them again.
    this.#ending.abort('closed');
    await Promise.all([...closed, this.#done]);
  }

  async leave(withinMs: number): Promise<void> {
    this.#closing.abort('left');
    const ended = [...this.#sessions].map((session) => new Promise((resolve) => session.once('close', resolve)));
    const over = new AbortController();
    await Promise.race([Promise.all(ended), this.#clock.sleep(withinMs, over.signal).catch(() => {})]);
    over.abort();
    await this.close();
  }

  #hello() {
    const kind = this.#identifier.startsWith('S') ? ('server' as const) : ('connection' as const);
    return { ...this.#options.component, identifier: this.#identifier, kind };
  }

  async #run(): Promise<void> {
    const signal = this.#closing.signal;
    while (!signal.aborted) {
      const now = this.#clock.now();
      this.#connectedAt = recentConnections(this.#connectedAt, now);
      const history = { failures: this.#failures, refused: this.#refused, connectedAt: this.#connectedAt };
      const delayMs = reconnectDelayMs(history, now, (this.#options.random ?? Math.random)(), this.#limits);
      try {
        if (delayMs > 0) await this.#clock.sleep(delayMs, signal);
        await this.#serveOnce(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#failures += 1;
        this.#refused = false;
        this.events.emit('failed', error);
      }
    }
  }

  #settle(ending: Ending, connectedAtMs: number): void {
    this.#refused = ending.kind === 'refused' && keptOut.test(ending.refused.code);
    const end = {
      upMs: ending.upMs,
      brokenByOther: ending.kind !== 'closed' || ending.brokenByOther,
      refused: this.#refused,
    };
    if (countsTowardsLimit(end, this.#limits)) this.#connectedAt.push(connectedAtMs);
    // The first try after a lost link waits a little too: a thousand diallers must not arrive at once. When the router
    // drains, there is no wait: the link still serves, but devices are waiting for its successor.
    const afterSteady = ending.kind === 'draining' ? 0 : 1;
    this.#failures = wasSteady(end, this.#limits) ? afterSteady : this.#failures + 1;
    if (ending.kind === 'refused') this.events.emit('refused', ending.refused);
  }

  /** One connection from dialling to its end (or until the router announces that it drains). */
  async #serveOnce(signal: AbortSignal): Promise<void> {
    const credential = await this.#options.credential();
    this.#identifier = credential.identifier;
    const socket = await dial(this.#options.router, credential, this.#options.dialTimeoutMs ?? 10_000, signal);
    const connectedAtMs = this.#clock.now();
    const ending = await new Promise<Ending>((resolve) => {
      this.#server.once('session', (session) => this.#adopt(session, resolve));
      this.#server.emit('connection', socket);
    });
    this.#settle(ending, connectedAtMs);
  }

  #adopt(session: Http2Session, resolve: (ending: Ending) => void): void {
    let reason = 'the router closed the link';
    let brokenByOther = true;
    this.#sessions.add(session);
    this.#endings.set(session, resolve);
    widenWindow(session);
    const undecided = setTimeout(() => {
      if (this.#serving.has(session)) return;
      reason = 'the router did not accept or refuse the link in time';
      brokenByOther = false;
      session.destroy();
    }, this.#options.dialTimeoutMs ?? 10_000);
    session.on('error', (error) => {
      reason = messageOf(error);
    });
    watchLiveness(session, this.#options.liveness ?? defaultLivenessTimes, {
      onStalled: () => {
        this.#stalled.add(session);
        this.events.emit('stalled');
      },
      onRecovered: () => {
        this.#stalled.delete(session);
        this.events.emit('recovered');
      },
      onDead: () => {
        reason = 'the router stopped answering';
        brokenByOther = false;
      },
    });
    session.once('close', () => {
      clearTimeout(undecided);
      this.#sessions.delete(session);
      this.#stalled.delete(session);
      const upMs = this.#upMs(session);
      const served = this.#serving.delete(session);
      resolve({ kind: 'closed', upMs, brokenByOther });
      if (served && this.#serving.size === 0) this.events.emit('down', reason);
    });
    if (this.#closing.signal.aborted) session.close();
  }

  #onAccepted(session: Http2Session | undefined, accepted: Accepted): void {
    if (!session || session.destroyed) return;
    this.#serving.set(session, this.#clock.now());
    this.#accepted += 1;
    this.events.emit('up', accepted);
  }

  /** How long it has been in service; null before it was accepted. */
  #upMs(session: Http2Session | undefined): number | null {
    const sinceMs = session && this.#serving.get(session);
    return sinceMs === undefined ? null : this.#clock.now() - sinceMs;
  }

  #end(session: Http2Session | undefined, ending: Ending): void {
    if (session) this.#endings.get(session)?.(ending);
  }
}

/** @throws BrambleError ERR_LINK_DIAL when there is no verified TLS connection to the router within the deadline. */
async function dial(
  router: RouterAddress,
  credential: SrpCredential,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const socket = connect({
    host: router.host,
    port: router.port,
    servername: router.serverName,
    ca: credential.domainAuthorityPem,
    cert: credential.certificatePem,
    key: credential.privateKeyPem,
    ALPNProtocols: [linkProtocol],
    minVersion: 'TLSv1.3',
  });
  socket.setNoDelay(true);
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const settled = new AbortController();
  try {
    await Promise.race([
      once(socket, 'secureConnect', { signal: settled.signal }),
      once(socket, 'close', { signal: settled.signal }).then(() => Promise.reject(new Error('it was closed'))),
      once(deadline, 'abort', { signal: settled.signal }).then(() => Promise.reject(new Error('not in time'))),
    ]);
    if (socket.alpnProtocol !== linkProtocol) throw new Error('the other end is not a router');
    return socket;
  } catch (cause) {
    socket.on('error', () => undefined);
    socket.destroy();
    throw new BrambleError(
      'ERR_LINK_DIAL',
      `No SRP link to the router at ${router.host}:${router.port} (${messageOf(cause)}); will retry.`,
      { cause },
    );
  } finally {
    settled.abort();
  }
}
