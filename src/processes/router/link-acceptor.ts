/**
 * The SRP port: a dialler proves an identifier by TLS, is questioned, and is admitted or refused.
 *
 *   TCP → TLS (certificate of the domain authority) → hello → version → rival? → in service ⇄ stalled → gone
 *
 * Newcomers are questioned concurrently: a silent one does not delay the others. `newcomers.ts` limits their number,
 * `admission.ts` decides who may link.
 *
 * Invariant: nothing else runs between the last check of an identifier's holder and the change of the holder; no link
 * of another host is ever displaced while it answers, and none by a newcomer that does not.
 */
import type { X509Certificate } from 'node:crypto';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { addressGroup } from '../../base/address-group.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { createSparseLog, type SparseLog } from '../../base/sparse-log.ts';
import { answersWithin, defaultLivenessTimes, type LivenessTimes, watchLiveness } from '../../link/liveness.ts';
import { type Hello, helloShape, identifierShape, linkPaths, linkProtocol, type Refused } from '../../link/messages.ts';
import { linkSessionOptions, widenWindow } from '../../link/session-options.ts';
import { parseMessage } from '../../link/signed-envelope.ts';
import type { Logger } from '../../process/log/logger.ts';
import { type Admission, sameHolder } from './admission.ts';
import { exchangeJson } from './link-exchange.ts';
import type { LinkRegistry, RouterLink } from './link-registry.ts';
import { type NewcomerLimits, Newcomers } from './newcomers.ts';

interface LinkAcceptorOptions {
  /** The router's own component name. */
  routerName: string;
  certificatePem: string;
  privateKeyPem: string;
  domainAuthorityPem: string;
  /** Versions of the link that the router speaks. */
  linkVersions: readonly number[];
  admission: Admission;
  links: LinkRegistry;
  log: Logger;
  /** A link came into service. */
  onLink: (link: RouterLink) => void;
  /** A rival suspended its identifier: keep that. */
  onSuspended: () => void;
  liveness?: LivenessTimes;
  newcomers?: Partial<NewcomerLimits>;
  /** Time limits for TLS, a newcomer's hello, and a holder's ping. Defaults 10000, 5000 and 1000. */
  handshakeTimeoutMs?: number;
  helloTimeoutMs?: number;
  rivalTimeoutMs?: number;
  clock?: Clock;
}

export interface LinkAcceptor {
  readonly server: Server;
  readonly newcomers: Newcomers;
  /** Sends the reason and ends the session. */
  refuse(session: ClientHttp2Session, refused: Refused): Promise<void>;
}

interface Desk extends LinkAcceptorOptions {
  sparseLog: SparseLog;
}

/** A TLS server for the SRP port, not yet listening. */
export function createLinkAcceptor(options: LinkAcceptorOptions): LinkAcceptor {
  const { log } = options;
  const desk: Desk = { ...options, sparseLog: createSparseLog(options.clock) };
  const newcomers = new Newcomers(options.newcomers);
  // Keyed by the peer's address: TLS emits a different object from the one that was accepted.
  const entered = new Map<string, ReturnType<Newcomers['enter']>>();
  const server = createServer({
    cert: options.certificatePem,
    key: options.privateKeyPem,
    ca: options.domainAuthorityPem,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [linkProtocol],
    noDelay: true,
    handshakeTimeout: options.handshakeTimeoutMs ?? 10_000,
  });
  server.on('connection', (socket: Socket) => {
    const key = endOf(socket);
    const newcomer = newcomers.enter(() => socket.destroy());
    entered.set(key, newcomer);
    socket.once('close', () => {
      newcomers.leave(newcomer);
      if (entered.get(key) === newcomer) entered.delete(key);
    });
  });
  server.on('tlsClientError', (error, socket) => {
    const address = addressGroup(socket.remoteAddress ?? '');
    desk.sparseLog.say(`tls ${address}`, (times) =>
      log.info({ address, error: messageOf(error), times }, 'SRP connection failed in the TLS handshake'),
    );
    // Node only reports a handshake that timed out: the connection would stay open.
    socket.destroy();
  });
  server.on('secureConnection', (socket) => {
    const peer = peerOf(socket);
    const newcomer = entered.get(endOf(socket));
    if (socket.alpnProtocol !== linkProtocol || !peer || !newcomer) {
      const address = addressGroup(socket.remoteAddress ?? '');
      desk.sparseLog.say(`no credential ${address}`, (times) =>
        log.warn({ address, times }, 'SRP connection without an SRP credential'),
      );
      socket.destroy();
      return;
    }
    newcomers.prove(newcomer, peer.identifier);
    const session = openSession(socket, desk);
    void admit(session, peer, desk, () => newcomers.leave(newcomer));
  });
  return { server, newcomers, refuse: (session, refused) => refuseLink(session, refused, log) };
}

function endOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

interface Peer {
  identifier: string;
  serial: string;
  certificate: X509Certificate;
}

function peerOf(socket: TLSSocket): Peer | null {
  const certificate = socket.getPeerX509Certificate();
  const identifier = identifierShape.safeParse(/^CN=(.*)$/m.exec(certificate?.subject ?? '')?.[1]);
  if (!certificate || !identifier.success) return null;
  return { identifier: identifier.data, serial: certificate.serialNumber, certificate };
}

function openSession(socket: TLSSocket, { log }: Desk): ClientHttp2Session {
  const session = connect('https://bramble-link', { ...linkSessionOptions, createConnection: () => socket });
  session.on('error', (error) => log.debug({ error: messageOf(error) }, 'SRP connection broke'));
  widenWindow(session);
  return session;
}

async function admit(session: ClientHttp2Session, peer: Peer, options: Desk, onAdmitted: () => void): Promise<void> {
  const { links, log } = options;
  const { identifier } = peer;
  let link: RouterLink | undefined;
  try {
    const decision = await decide(session, peer, options);
    if (decision.kind === 'refused') return await refuseLink(session, decision.refused, log);
    if (session.destroyed) return;
    link = linkOf(session, peer, decision, options);
    // A holder keeps the place until the newcomer has answered once more; a vacant place is taken before that, so that
    // what the dialler is told is already true when it arrives.
    const vacant = links.standing(identifier) === undefined;
    if (vacant) takePlace(link, options);
    const accepted = { linkVersion: link.linkVersion, router: options.routerName };
    await exchangeJson(session, 'POST', linkPaths.accepted, accepted, options.helloTimeoutMs ?? 5000);
    const former = vacant ? undefined : links.standing(identifier);
    if (!vacant) {
      const refused = refusalOf(peer, decision.hello, options);
      if (refused) return await refuseLink(session, refused, log);
      if (session.destroyed) return;
      takePlace(link, options);
    }
    onAdmitted();
    watchLink(link, options);
    log.info({ identifier, host: link.hello.host, reconnects: link.reconnects }, 'SRP link in service');
    options.onLink(link);
    if (former) void refuseLink(former.session, superseded(identifier), log, supersededGraceMs);
  } catch (error) {
    if (link) links.remove(link);
    options.sparseLog.say(`failed ${identifier}`, (times) =>
      log.warn({ identifier, error: messageOf(error), times }, 'SRP link not put into service'),
    );
    const code = isBrambleError(error) ? error.code : 'ERR_LINK_HELLO';
    await refuseLink(session, { code, message: messageOf(error) }, log);
  }
}

function takePlace(link: RouterLink, { links, log }: Desk): void {
  let broken: unknown;
  links.add(link);
  link.session.once('error', (error) => {
    broken = error;
  });
  link.session.once('close', () => {
    const facts = { identifier: link.identifier, ...(broken === undefined ? {} : { error: messageOf(broken) }) };
    if (links.remove(link)) log.info(facts, 'SRP link ended');
  });
}

function linkOf(
  session: ClientHttp2Session,
  peer: Peer,
  { hello, linkVersion }: { hello: Hello; linkVersion: number },
  { links, clock = systemClock }: Desk,
): RouterLink {
  const reconnects = links.linkedBefore(peer.identifier);
  return { ...peer, kind: hello.kind, hello, session, linkVersion, sinceMs: clock.now(), reconnects, stalled: false };
}

function watchLink(link: RouterLink, { links, liveness = defaultLivenessTimes, log }: Desk): void {
  const { identifier } = link;
  watchLiveness(link.session, liveness, {
    onStalled: () => {
      links.stall(link);
      log.warn({ identifier }, 'SRP link stalled; no new requests are sent over it');
    },
    onRecovered: () => {
      links.recover(link);
      log.info({ identifier }, 'SRP link answers again');
    },
    onDead: () => log.warn({ identifier }, 'SRP link stopped answering; closed'),
  });
}

type Decision = { kind: 'admitted'; hello: Hello; linkVersion: number } | { kind: 'refused'; refused: Refused };

async function decide(session: ClientHttp2Session, peer: Peer, options: Desk): Promise<Decision> {
  const { identifier } = peer;
  const no = (refused: Refused): Decision => ({ kind: 'refused', refused });
  if (options.admission.isRevoked(peer.serial)) return no(revoked(identifier));
  const hello = await helloOf(session, peer, options);
  if (hello.identifier !== identifier || hello.kind !== (identifier.startsWith('S') ? 'server' : 'connection')) {
    return no({
      code: 'ERR_LINK_HELLO',
      message: `The credential belongs to ${identifier}, but the process calls itself ${hello.identifier}.`,
    });
  }
  const linkVersion = greatestCommon(options.linkVersions, hello.linkVersions);
  if (linkVersion === null) {
    const message = `No common version of the SRP link: the router speaks ${options.linkVersions}.`;
    return no({ code: 'ERR_LINK_VERSION', message });
  }
  if (options.admission.isSuspended(identifier, hello)) return no(suspended(identifier));
  const holder = otherHolder(hello, options);
  if (holder && (await answersWithin(holder.session, options.rivalTimeoutMs ?? 1000))) {
    reportRival(holder, hello, options);
    return no(inUse(holder));
  }
  // A holder that did not answer in time may just be busy: a newcomer replaces it only once it is stalled.
  const refused = refusalOf(peer, hello, options);
  return refused ? no(refused) : { kind: 'admitted', hello, linkVersion };
}

/** Why this newcomer may not take over the identifier at the moment. */
function refusalOf(peer: Peer, hello: Hello, options: Desk): Refused | null {
  const { identifier, serial } = peer;
  if (options.admission.isRevoked(serial)) return revoked(identifier);
  if (options.admission.isSuspended(identifier, hello)) return suspended(identifier);
  const holder = otherHolder(hello, options);
  return holder && !holder.stalled ? inUse(holder) : null;
}

/** The holder of the identifier, if from another host or boot. */
function otherHolder(hello: Hello, { links }: Desk): RouterLink | null {
  const holder = links.standing(hello.identifier);
  return holder && !sameHolder(holder.hello, hello) ? holder : null;
}

/** A newcomer that proves an identifier in use but sends no hello counts like any other rival. */
async function helloOf(session: ClientHttp2Session, peer: Peer, options: Desk): Promise<Hello> {
  try {
    const answer = await exchangeJson(session, 'GET', linkPaths.hello, undefined, options.helloTimeoutMs ?? 5000);
    return parseMessage(helloShape, answer);
  } catch (error) {
    const holder = options.links.get(peer.identifier);
    if (holder) countRival(holder, options);
    throw error;
  }
}

function reportRival(holder: RouterLink, hello: Hello, options: Desk): void {
  const { identifier } = holder;
  options.sparseLog.say(`rival ${identifier}`, (times) => {
    const facts = { identifier, host: hello.host, inUseBy: holder.hello.host, times };
    options.log.warn(facts, 'identifier in use by another host');
  });
  countRival(holder, options);
}

function countRival(holder: RouterLink, { admission, clock = systemClock, log, onSuspended }: Desk) {
  const { identifier } = holder;
  if (!admission.countRival(identifier, holder.hello, clock.now())) return;
  log.error({ identifier }, 'identifier suspended for everyone except its present holder');
  onSuspended();
}

function greatestCommon(ours: readonly number[], theirs: readonly number[]): number | null {
  const common = ours.filter((version) => theirs.includes(version));
  return common.length === 0 ? null : Math.max(...common);
}

function revoked(identifier: string): Refused {
  const message = `The SRP credential of ${identifier} was revoked; issue another: bramble srp issue.`;
  return { code: 'ERR_SRP_REVOKED', message };
}

function inUse({ identifier, hello }: RouterLink): Refused {
  return {
    code: 'ERR_SRP_IN_USE',
    message: `${identifier} is linked from ${hello.host}; every instance needs its own credential.`,
  };
}

function suspended(identifier: string): Refused {
  const message = `${identifier} was used from two hosts at once and is suspended; find the second, then: bramble srp clear.`;
  return { code: 'ERR_SRP_SUSPENDED', message };
}

function superseded(identifier: string): Refused {
  return { code: 'ERR_SRP_SUPERSEDED', message: `A newer link of ${identifier} replaced this one.` };
}

/** For requests and tunnels of a link whose process drains beside its successor: the longest that draining may take. */
const supersededGraceMs = 15_000;

/** Requests under way may still be answered for a moment; a peer that reads nothing is cut off. */
async function refuseLink(session: ClientHttp2Session, refused: Refused, log: Logger, graceMs = 1000): Promise<void> {
  if (session.destroyed) return;
  let graceOfHeardMs = graceMs;
  try {
    await exchangeJson(session, 'POST', linkPaths.refused, refused, 1000);
  } catch (error) {
    graceOfHeardMs = 1000;
    log.debug({ error: messageOf(error) }, 'the refusal could not be sent');
  }
  if (session.destroyed) return;
  // Not by `once` of node:events: it rejects when the session breaks meanwhile, which here is just another way to end.
  const ended = new Promise<void>((resolve) => session.once('close', resolve));
  const late = setTimeout(() => session.destroy(), graceOfHeardMs);
  session.goaway(constants.NGHTTP2_NO_ERROR, 0, Buffer.from(refused.code));
  session.close();
  await ended;
  clearTimeout(late);
}
