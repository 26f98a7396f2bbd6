/**
 * The router, put together: public port, SRP port, routes, tunnels, state on disk, and reports to instances. Has no
 * access to the database, and no secret but its own TLS key.
 *
 * Invariant: while draining it accepts nothing new on either port, and links continue to serve what is under way;
 * diallers are told first, so that they link to its successor.
 */
import { X509Certificate } from 'node:crypto';
import type { Server } from 'node:net';
import { type Clock, systemClock } from '../../base/clock.ts';
import type { LivenessTimes } from '../../link/liveness.ts';
import type { LinkComponent, RevocationList, SignedEnvelope } from '../../link/messages.ts';
import type { RouterFile } from '../../link/router-file.ts';
import { issuerAmong } from '../../link/trusted-authorities.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Logger } from '../../process/log/logger.ts';
import type { Admission } from './admission.ts';
import { followControlStream } from './control-stream.ts';
import { awaitFormerLinks } from './former-links.ts';
import { createForwarder } from './forwarder.ts';
import { createLinkAcceptor, type LinkAcceptor } from './link-acceptor.ts';
import { LinkPatience } from './link-patience.ts';
import { LinkRegistry } from './link-registry.ts';
import type { NewcomerLimits, Newcomers } from './newcomers.ts';
import { OutcomeCounter } from './outcome-counter.ts';
import { createOutcomeReporter, type OutcomeReporter } from './outcome-reporter.ts';
import type { LimitReason, PublicConnections } from './public-connections.ts';
import { type GivenLimits, hostLimits, publicLimits } from './public-limits.ts';
import { createPublicListener, type PublicListener } from './public-listener.ts';
import { RouteDirectory } from './route-directory.ts';
import { createRouterDrain } from './router-drain.ts';
import { openRouterMemory } from './router-memory.ts';
import { createRouterRegistration } from './router-registration.ts';
import type { RouterTrust } from './router-trust.ts';
import { createTunnelOpener } from './tunnel-opener.ts';

export interface RouterOptions {
  platforms: Platforms;
  component: LinkComponent;
  certificatePem: string;
  privateKeyPem: string;
  domainAuthorityPem: string;
  /** Where the revocation list and suspensions are kept. */
  statePath: string;
  /** SNI name of tunnels; undefined accepts CONNECT under any name. */
  tunnelHost?: string | undefined;
  log: Logger;
  liveness?: LivenessTimes;
  /** How long devices usually pause between two requests on the same connection. Default 5000. */
  pauseMs?: number;
  /** Of a device's request. Default 30000. */
  deadlineMs?: number;
  /** How long a request waits for a link that is expected back. Default 10000. */
  linkPatienceMs?: number;
  /** Between two registrations with every instance. Default 2000. */
  registerEveryMs?: number;
  /** Between two reports of request outcomes. Default 10000. */
  reportOutcomesEveryMs?: number;
  /** Bytes of large request bodies held at once; see the public listener. */
  maxLargeBodies?: number;
  openTimeoutMs?: number;
  newcomers?: Partial<NewcomerLimits>;
  handshakeTimeoutMs?: number;
  helloTimeoutMs?: number;
  rivalTimeoutMs?: number;
  clock?: Clock;
  /** Of the public port. Default: derived from the host. */
  limits?: GivenLimits;
  /** Ranges of addresses whose connections to the public port must begin with a PROXY header. Default: none. */
  balancers?: readonly string[];
  reportEveryMs?: number;
  onAnswer?: (status: number) => void;
  onLimit?: (reason: LimitReason) => void;
}

export interface Router {
  /** Not yet listening. */
  readonly publicServer: Server;
  readonly srpServer: Server;
  readonly links: LinkRegistry;
  /** At the SRP port. */
  readonly newcomers: Newcomers;
  readonly routes: RouteDirectory;
  readonly outcomes: OutcomeReporter;
  readonly tunnelsOpen: number;
  readonly requestsUnderWay: number;
  /** At the public port. */
  readonly connections: PublicConnections;
  /** Resolves when all identifiers that were linked before the restart are linked again; true if there were none. */
  readonly formerLinks: Promise<void>;
  /**
   * Uses this certificate for new connections on both ports; existing ones continue. @throws Error when it does not
   * match the key
   */
  renewCertificate(file: RouterFile): void;
  /** Starts registering this router with every instance. */
  register(loopbackUrl: string): void;
  /** Stops accepting anything new, finishes what is under way, and cuts what is left after `graceMs`. */
  drain(graceMs: number): Promise<void>;
}

/** Longer than the pauses between two commands, and than the 4 s after which common clients leave a connection. */
const usualPauseMs = 5000;

/** @throws BrambleError ERR_ROUTER_STATE when the revocations cannot be read. */
export async function createRouter(options: RouterOptions): Promise<Router> {
  const { component, log, clock = systemClock } = options;
  const memory = await openRouterMemory(options.statePath, options.domainAuthorityPem, log);
  const { trust } = memory;
  const formerLinks = awaitFormerLinks(memory.linkedBefore);
  const now = () => performance.now();
  const links = new LinkRegistry(now);
  links.expect(memory.linkedBefore);
  const patience = new LinkPatience({ links, now, patienceMs: options.linkPatienceMs ?? 10_000 });
  const { admission } = memory;
  const routes = new RouteDirectory({
    links,
    trust,
    isRevoked: (serial) => admission.isRevoked(serial),
    log,
    now: clock.now,
  });
  const counter = new OutcomeCounter();
  const { reportOutcomesEveryMs } = options;
  const outcomes = createOutcomeReporter({
    ...{ router: component.name, links, counter, log, now },
    ...(reportOutcomesEveryMs !== undefined && { everyMs: reportOutcomesEveryMs }),
  });
  const { listener, tunnelsOpen } = createEdge(options, { links, routes, outcomes: counter, patience, now });
  const acceptor = createLinkAcceptor({
    ...{ ...options, domainAuthorityPem: trust.pem, admission, links },
    ...{ routerName: component.name, linkVersions: component.linkVersions },
    onLink: (link) => {
      memory.addLinked(link.identifier);
      formerLinks.back(link.identifier);
      if (link.kind === 'server') followControlStream(link, { trust, onList: takeList, onTrust, log });
      drain.onLink(link);
    },
    onSuspended: memory.save,
  });
  const takeList = (list: RevocationList, signed: SignedEnvelope) => {
    if (!memory.takeList(list, signed)) return;
    log.info({ number: list.number, revoked: list.revoked.length }, 'revocation list applied');
    closeRevoked(memory.admission, links, acceptor, log);
  };
  const onTrust = () => {
    memory.save();
    log.info({ trusted: trust.fingerprints }, 'the domain changed its authorities');
    renewCertificate(present, trust, acceptor, listener);
    closeUntrusted(trust, links, acceptor, log);
  };
  let present: Pick<RouterFile, 'certificatePem' | 'privateKeyPem'> = options;
  const authorities = () => ({
    trusts: trust.fingerprints,
    credentialBy: issuerAmong(new X509Certificate(present.certificatePem), trust.authorities),
  });
  const everyMs = options.registerEveryMs ?? 2000;
  const registration = createRouterRegistration({ component, links, log, tunnelsOpen, authorities, everyMs });
  const drain = createRouterDrain({
    ...{ memory, links, listener, outcomes, registration, log, tunnelsOpen },
    ...{ srpServer: acceptor.server, pauseMs: options.pauseMs ?? usualPauseMs },
  });
  outcomes.run();
  return {
    publicServer: listener.server,
    srpServer: acceptor.server,
    links,
    newcomers: acceptor.newcomers,
    routes,
    formerLinks: formerLinks.allBack,
    get tunnelsOpen() {
      return tunnelsOpen();
    },
    connections: listener.connections,
    get requestsUnderWay() {
      return listener.requestsUnderWay;
    },
    outcomes,
    register: registration.start,
    drain: async (graceMs) => {
      patience.end();
      await drain.drain(graceMs);
    },
    renewCertificate: (file) => {
      renewCertificate(file, trust, acceptor, listener);
      present = file;
    },
  };
}

interface EdgeParts {
  links: LinkRegistry;
  routes: RouteDirectory;
  outcomes: OutcomeCounter;
  patience: LinkPatience;
  now: () => number;
}

/** The public port, from which requests and tunnels go to links. */
function createEdge(options: RouterOptions, parts: EdgeParts): { listener: PublicListener; tunnelsOpen: () => number } {
  const { platforms, tunnelHost } = options;
  let tunnelsOpen = 0;
  const onCount = (change: 1 | -1) => {
    tunnelsOpen += change;
  };
  const listener = createPublicListener({
    ...{ ...options, tunnelHost, limits: publicLimits(hostLimits(), options.limits) },
    forward: createForwarder({ ...parts, platforms }),
    tunnel: createTunnelOpener({ ...options, ...parts, tunnelHost, onCount }),
  });
  return { listener, tunnelsOpen: () => tunnelsOpen };
}

/** Links of revoked credentials are told why, and closed. */
function closeRevoked(admission: Admission, links: LinkRegistry, acceptor: LinkAcceptor, log: Logger): void {
  for (const link of links.all()) {
    if (!admission.isRevoked(link.serial)) continue;
    log.warn({ identifier: link.identifier }, 'SRP credential revoked; its link was closed');
    links.remove(link);
    void acceptor.refuse(link.session, {
      code: 'ERR_SRP_REVOKED',
      message: `The SRP credential of ${link.identifier} was revoked; issue another: bramble srp issue.`,
    });
  }
}

/** Links by credentials of an authority that was retired. Whoever is of the domain has another by then. */
function closeUntrusted(trust: RouterTrust, links: LinkRegistry, acceptor: LinkAcceptor, log: Logger): void {
  for (const link of links.all()) {
    if (issuerAmong(link.certificate, trust.authorities) !== null) continue;
    log.warn({ identifier: link.identifier }, 'the authority of an SRP credential was retired; its link was closed');
    links.remove(link);
    void acceptor.refuse(link.session, {
      code: 'ERR_SRP_REVOKED',
      message: `The authority that issued the SRP credential of ${link.identifier} was retired; issue another: bramble srp issue.`,
    });
  }
}

function renewCertificate(
  file: Pick<RouterFile, 'certificatePem' | 'privateKeyPem'>,
  trust: RouterTrust,
  acceptor: LinkAcceptor,
  listener: PublicListener,
): void {
  // Omitted options keep Node's defaults.
  const common = { cert: file.certificatePem, key: file.privateKeyPem } as const;
  acceptor.server.setSecureContext({ ...common, ca: trust.pem, minVersion: 'TLSv1.3' });
  listener.server.setSecureContext({ ...common, minVersion: 'TLSv1.2' });
}
