/**
 * The router, put together: public port, SRP port, routes, tunnels, state on disk, and reports to instances. Has no
 * access to the database, and no secret but its own TLS key.
 *
 * Invariant: while draining it accepts nothing new on either port, and links continue to serve what is under way;
 * diallers are told first, so that they link to its successor.
 */
import type { Server } from 'node:net';
import { type Clock, systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { LivenessTimes } from '../../link/liveness.ts';
import { type LinkComponent, linkPaths, type RevocationList, type SignedEnvelope } from '../../link/messages.ts';
import type { RouterFile } from '../../link/router-file.ts';
import { authorityKeyOf } from '../../link/signed-envelope.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Logger } from '../../process/log/logger.ts';
import { Admission } from './admission.ts';
import { followControlStream } from './control-stream.ts';
import { createForwarder } from './forwarder.ts';
import { createLinkAcceptor } from './link-acceptor.ts';
import { exchangeJson } from './link-exchange.ts';
import { LinkRegistry, type RouterLink } from './link-registry.ts';
import type { NewcomerLimits, Newcomers } from './newcomers.ts';
import { OutcomeCounter } from './outcome-counter.ts';
import { createOutcomeReporter, type OutcomeReporter } from './outcome-reporter.ts';
import type { LimitReason, PublicConnections } from './public-connections.ts';
import { type GivenLimits, hostLimits, publicLimits } from './public-limits.ts';
import { createPublicListener } from './public-listener.ts';
import { RouteDirectory } from './route-directory.ts';
import { createStateFile, readRouterState } from './router-state.ts';
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

/** How long a drain waits for the last outcomes to be acknowledged. */
const lastReportMs = 1000;

/** @throws BrambleError ERR_ROUTER_STATE when the revocations cannot be read. */
export async function createRouter(options: RouterOptions): Promise<Router> {
  const { log } = options;
  const clock = options.clock ?? systemClock;
  const authorityKey = authorityKeyOf(options.domainAuthorityPem);
  const kept = await readRouterState(options.statePath, authorityKey);
  const file = createStateFile(options.statePath);
  const admission = new Admission({ list: kept.list, suspended: kept.state.suspended });
  let envelope: SignedEnvelope | null = kept.state.list;
  let linked = kept.state.linked;
  let tunnelsOpen = 0;
  let registering: NodeJS.Timeout | undefined;
  let draining = false;
  let drained = false;

  const missing = new Set(kept.state.linked);
  let allBack: () => void = () => undefined;
  const formerLinks = new Promise<void>((resolve) => {
    allBack = resolve;
    if (missing.size === 0) resolve();
  });

  const save = () => {
    const { suspended } = admission.snapshot();
    file.save({ list: envelope, suspended, linked }).catch((error) => {
      log.error({ error: messageOf(error), path: options.statePath }, "the router's state was not written");
    });
  };
  const links = new LinkRegistry();
  const routes = new RouteDirectory({ links, authorityKey, log, now: clock.now });
  const now = () => performance.now();
  const counter = new OutcomeCounter();
  const outcomes = createOutcomeReporter({
    ...{ router: options.component.name, links, counter, log, now },
    ...(options.reportOutcomesEveryMs !== undefined && { everyMs: options.reportOutcomesEveryMs }),
  });
  const acceptor = createLinkAcceptor({
    ...options,
    routerName: options.component.name,
    linkVersions: options.component.linkVersions,
    admission,
    links,
    onLink,
    onSuspended: save,
  });
  const listener = createPublicListener({
    ...options,
    tunnelHost: options.tunnelHost,
    limits: publicLimits(hostLimits(), options.limits),
    forward: createForwarder({ links, routes, outcomes: counter, now }),
    tunnel: createTunnelOpener({
      ...options,
      tunnelHost: options.tunnelHost,
      links,
      routes,
      onCount: (change) => {
        tunnelsOpen += change;
      },
    }),
  });

  function onLink(link: RouterLink): void {
    if (!linked.includes(link.identifier)) {
      linked = [...linked, link.identifier];
      save();
    }
    // A removed component must not delay the next start: the list of linked ones is rewritten at each drain.
    missing.delete(link.identifier);
    if (missing.size === 0) allBack();
    if (link.kind === 'server') followControlStream(link, authorityKey, takeList, log);
    if (draining) void tellDraining(link);
  }

  function takeList(list: RevocationList, signed: SignedEnvelope): void {
    if (!admission.take(list)) return;
    envelope = signed;
    save();
    log.info({ number: list.number, revoked: list.revoked.length }, 'revocation list applied');
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

  function register(loopbackUrl: string): void {
    const everyMs = options.registerEveryMs ?? 2000;
    const tell = async () => {
      const registration = {
        ...options.component,
        loopbackUrl,
        tunnelsOpen,
        links: links.all().map(({ identifier, sinceMs, reconnects }) => ({
          identifier,
          since: new Date(sinceMs).toISOString(),
          reconnects,
        })),
      };
      await Promise.all(links.servers().map((link) => tellRegistration(link, registration, everyMs)));
      if (!drained) registering = setTimeout(tell, everyMs);
    };
    registering = setTimeout(tell, 0);
  }

  async function tellRegistration(link: RouterLink, registration: unknown, timeoutMs: number): Promise<void> {
    try {
      await exchangeJson(link.session, 'POST', linkPaths.router, registration, timeoutMs);
    } catch (error) {
      log.debug({ identifier: link.identifier, error: messageOf(error) }, 'the instance did not register the router');
    }
  }

  async function tellDraining(link: RouterLink): Promise<void> {
    try {
      await exchangeJson(link.session, 'POST', linkPaths.draining, {}, 1000);
    } catch (error) {
      log.debug(
        { identifier: link.identifier, error: messageOf(error) },
        'a dialler could not be told of the draining',
      );
    }
  }

  async function drain(graceMs: number): Promise<void> {
    draining = true;
    linked = links.all().map(({ identifier }) => identifier);
    await file.save({ list: envelope, suspended: admission.snapshot().suspended, linked });
    // Newcomers stay in the sockets' queues, which the supervisor passes on; diallers, told next, reach the successor.
    for (const server of [acceptor.server, listener.server]) if (server.listening) server.close();
    await Promise.all(links.all().map(tellDraining));
    // Once no instance is linked, there is nothing left that a device could request.
    const pauseMs = links.servers().length > 0 ? (options.pauseMs ?? usualPauseMs) : 0;
    await listener.drain({ pauseMs, graceMs });
    await outcomes.finish(lastReportMs);
    drained = true;
    clearTimeout(registering);
    for (const { session } of links.all()) {
      session.close();
      setTimeout(() => session.destroy(), 1000).unref();
    }
  }

  outcomes.run();
  return {
    publicServer: listener.server,
    srpServer: acceptor.server,
    links,
    newcomers: acceptor.newcomers,
    routes,
    formerLinks,
    get tunnelsOpen() {
      return tunnelsOpen;
    },
    connections: listener.connections,
    get requestsUnderWay() {
      return listener.requestsUnderWay;
    },
    outcomes,
    register,
    drain,
    renewCertificate({ certificatePem, privateKeyPem, domainAuthorityPem }) {
      // Omitted options keep Node's defaults.
      const common = { cert: certificatePem, key: privateKeyPem } as const;
      acceptor.server.setSecureContext({ ...common, ca: domainAuthorityPem, minVersion: 'TLSv1.3' });
      listener.server.setSecureContext({ ...common, minVersion: 'TLSv1.2' });
    },
  };
}
