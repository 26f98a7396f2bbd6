/**
 * The SRP port: who dials in is questioned, and admitted or refused.
 *
 *   TLS (certificate of the domain authority) → identifier and serial → hello → version → rival? → in service → gone
 *
 * Invariant: an identifier is decided on by one newcomer at a time, and no live link of another host is ever displaced.
 */
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import type { Server } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { type Clock, systemClock } from '../base/clock.ts';
import { isBrambleError, messageOf } from '../base/errors.ts';
import { defaultLivenessTimes, isAlive, type LivenessTimes, watchLiveness } from '../link/liveness.ts';
import { type Hello, helloShape, identifierShape, linkPaths, linkProtocol, type Refused } from '../link/messages.ts';
import { linkSessionOptions, widenWindow } from '../link/session-options.ts';
import { parseMessage } from '../link/signed-envelope.ts';
import type { Logger } from '../process/logger.ts';
import type { Admission } from './admission.ts';
import { exchangeJson } from './link-exchange.ts';
import type { LinkRegistry, RouterLink } from './link-registry.ts';

export interface LinkAcceptorOptions {
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
  /** How long a newcomer's hello, and a rival's ping, may take. Defaults 5000 and 1000. */
  helloTimeoutMs?: number;
  rivalTimeoutMs?: number;
  clock?: Clock;
}

export interface LinkAcceptor {
  readonly server: Server;
  /** Says why, and ends the session. */
  refuse(session: ClientHttp2Session, refused: Refused): Promise<void>;
}

/** A TLS server for the SRP port, not yet listening. */
export function createLinkAcceptor(options: LinkAcceptorOptions): LinkAcceptor {
  const { log } = options;
  const deciding = new Map<string, Promise<void>>();
  const server = createServer({
    cert: options.certificatePem,
    key: options.privateKeyPem,
    ca: options.domainAuthorityPem,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [linkProtocol],
    noDelay: true,
    handshakeTimeout: 10_000,
  });
  server.on('tlsClientError', (error) => log.info({ error: messageOf(error) }, 'SRP connection refused by TLS'));
  server.on('secureConnection', (socket) => {
    const peer = peerOf(socket);
    if (socket.alpnProtocol !== linkProtocol || !peer) {
      log.warn({ address: socket.remoteAddress }, 'SRP connection without an SRP credential');
      socket.destroy();
      return;
    }
    const session = openSession(socket, log);
    // Newcomers of one identifier wait for each other: the second must see what became of the first.
    const before = deciding.get(peer.identifier) ?? Promise.resolve();
    const decided = before.then(() => admit(session, peer, options));
    deciding.set(peer.identifier, decided);
    void decided.finally(() => {
      if (deciding.get(peer.identifier) === decided) deciding.delete(peer.identifier);
    });
  });
  return { server, refuse: (session, refused) => refuseLink(session, refused, log) };
}

interface Peer {
  identifier: string;
  serial: string;
}

function peerOf(socket: TLSSocket): Peer | null {
  const certificate = socket.getPeerX509Certificate();
  const identifier = identifierShape.safeParse(/^CN=(.*)$/m.exec(certificate?.subject ?? '')?.[1]);
  return certificate && identifier.success ? { identifier: identifier.data, serial: certificate.serialNumber } : null;
}

function openSession(socket: TLSSocket, log: Logger): ClientHttp2Session {
  const session = connect('https://bramble-link', { ...linkSessionOptions, createConnection: () => socket });
  session.on('error', (error) => log.info({ error: messageOf(error) }, 'SRP link broke'));
  widenWindow(session);
  return session;
}

async function admit(session: ClientHttp2Session, peer: Peer, options: LinkAcceptorOptions): Promise<void> {
  const { links, log } = options;
  const clock = options.clock ?? systemClock;
  try {
    const decision = await decide(session, peer, options, clock);
    if (decision.kind === 'refused') return await refuseLink(session, decision.refused, log);
    const link: RouterLink = {
      ...peer,
      kind: decision.hello.kind,
      hello: decision.hello,
      session,
      linkVersion: decision.linkVersion,
      sinceMs: clock.now(),
      reconnects: links.linkedBefore(peer.identifier),
    };
    const former = links.get(peer.identifier);
    if (session.destroyed) return;
    links.add(link);
    session.once('close', () => {
      if (links.remove(link)) log.info({ identifier: link.identifier }, 'SRP link ended');
    });
    const accepted = { linkVersion: link.linkVersion, router: options.routerName };
    await exchangeJson(session, 'POST', linkPaths.accepted, accepted, options.helloTimeoutMs ?? 5000);
    watchLiveness(session, options.liveness ?? defaultLivenessTimes, () =>
      log.warn({ identifier: link.identifier }, 'SRP link answers no more; closed'),
    );
    log.info(
      { identifier: link.identifier, host: link.hello.host, reconnects: link.reconnects },
      'SRP link in service',
    );
    options.onLink(link);
    if (former) void refuseLink(former.session, superseded(peer.identifier), log);
  } catch (error) {
    log.warn({ identifier: peer.identifier, error: messageOf(error) }, 'SRP link not taken into service');
    await refuseLink(
      session,
      { code: isBrambleError(error) ? error.code : 'ERR_LINK_HELLO', message: messageOf(error) },
      log,
    );
  }
}

type Decision = { kind: 'admitted'; hello: Hello; linkVersion: number } | { kind: 'refused'; refused: Refused };

async function decide(
  session: ClientHttp2Session,
  peer: Peer,
  options: LinkAcceptorOptions,
  clock: Clock,
): Promise<Decision> {
  const { admission, links } = options;
  const { identifier } = peer;
  const no = (code: Refused['code'], message: string): Decision => ({ kind: 'refused', refused: { code, message } });
  if (admission.isRevoked(peer.serial)) {
    return no('ERR_SRP_REVOKED', `The SRP credential of ${identifier} was revoked; issue another: bramble srp issue.`);
  }
  const answer = await exchangeJson(session, 'GET', linkPaths.hello, undefined, options.helloTimeoutMs ?? 5000);
  const hello = parseMessage(helloShape, answer);
  if (hello.identifier !== identifier || hello.kind !== (identifier.startsWith('S') ? 'server' : 'connection')) {
    return no(
      'ERR_LINK_HELLO',
      `The credential is of ${identifier}, but the process calls itself ${hello.identifier}.`,
    );
  }
  const linkVersion = greatestCommon(options.linkVersions, hello.linkVersions);
  if (linkVersion === null) {
    return no('ERR_LINK_VERSION', `No common version of the SRP link: the router speaks ${options.linkVersions}.`);
  }
  if (admission.isSuspended(identifier)) return no('ERR_SRP_SUSPENDED', suspendedText(identifier));
  const rival = links.get(identifier);
  if (rival && !sameBoot(rival.hello, hello) && (await isAlive(rival.session, options.rivalTimeoutMs ?? 1000))) {
    options.log.warn({ identifier, host: hello.host, inUseBy: rival.hello.host }, 'identifier in use by another host');
    if (admission.countRival(identifier, clock.now())) {
      options.log.error({ identifier }, 'identifier suspended');
      options.onSuspended();
    }
    return no('ERR_SRP_IN_USE', `${identifier} is linked from ${rival.hello.host}; every instance needs its own.`);
  }
  return { kind: 'admitted', hello, linkVersion };
}

function sameBoot(a: Hello, b: Hello): boolean {
  return a.host === b.host && a.bootId === b.bootId;
}

function greatestCommon(ours: readonly number[], theirs: readonly number[]): number | null {
  const common = ours.filter((version) => theirs.includes(version));
  return common.length === 0 ? null : Math.max(...common);
}

function suspendedText(identifier: string): string {
  return `${identifier} was used from two hosts at once and is suspended; find the second, then: bramble srp clear.`;
}

function superseded(identifier: string): Refused {
  return { code: 'ERR_SRP_SUPERSEDED', message: `A later link of ${identifier} took the place of this one.` };
}

/** Requests under way may still be answered for a moment; a peer that reads nothing is cut off. */
async function refuseLink(session: ClientHttp2Session, refused: Refused, log: Logger): Promise<void> {
  if (session.destroyed) return;
  try {
    await exchangeJson(session, 'POST', linkPaths.refused, refused, 1000);
  } catch (error) {
    log.debug({ error: messageOf(error) }, 'the refusal was not heard');
  }
  if (session.destroyed) return;
  // Not by `once` of node:events: it rejects when the session breaks meanwhile, which is only another end of it.
  const ended = new Promise<void>((resolve) => session.once('close', resolve));
  const late = setTimeout(() => session.destroy(), 1000);
  session.goaway(constants.NGHTTP2_NO_ERROR, 0, Buffer.from(refused.code));
  session.close();
  await ended;
  clearTimeout(late);
}
