/**
 * The SRP links of a component that dials: one to each router of the domain, followed while routers come and go. Where the
 * database names no router, the credential file does.
 *
 * Invariants: the link to a removed router serves until that router has drained, and one by a former credential until the
 * next has been accepted, so that neither costs a request.
 */
import { X509Certificate } from 'node:crypto';
import { createBell } from '../base/bell.ts';
import { systemClock } from '../base/clock.ts';
import { isBrambleError, messageOf } from '../base/errors.ts';
import { createSparseLog } from '../base/sparse-log.ts';
import { takeTurns } from '../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../database/change-notices.ts';
import { type RouterAddress, readCredential, type SrpCredential } from '../link/credential.ts';
import { connectLink, type SrpLink } from '../link/dialler.ts';
import type { LinkHandlers } from '../link/link-endpoint.ts';
import type { TrustReport } from '../link/messages.ts';
import { authorityFingerprint, certificatesIn, issuerAmong } from '../link/trusted-authorities.ts';
import { listRouterAddresses } from '../routers/router-addresses.ts';
import type { ComponentContext } from './component-process.ts';

export interface SrpLinks {
  /** To the routers of the moment. */
  readonly links: readonly SrpLink[];
  /** Dials routers that are added and leaves those that are removed, until the signal is aborted. */
  follow(signal: AbortSignal): Promise<void>;
  /** For the component's detail. */
  detail(): { router: string; up: boolean; reconnects: number }[];
  /** Also for it: by the credential in use on every link that is up. */
  authorities(): TrustReport;
  /** The credential file was written: links by another certificate are replaced, each once its successor serves. */
  reread(): Promise<void>;
  /** `null` when a router has accepted a link and responds on it. */
  ready(): string | null;
  /** Resolves once every router has accepted a link; after {@link othersWithinMs} one is enough, since another may be away. */
  serving(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

interface SrpLinkOptions {
  context: Pick<ComponentContext<unknown>, 'environment' | 'identity' | 'log' | 'db'>;
  identifier: string;
  handlers: LinkHandlers;
}

const othersWithinMs = 10_000;
const lookMs = 50;
/** After a failed look at the domain's routers. */
const againMs = 1000;
/** Longer than a router drains. */
const leaveWithinMs = 15_000;

/** Dials every router of the domain. @throws BrambleError ERR_SRP_CREDENTIAL */
export async function dialRouters(options: SrpLinkOptions): Promise<SrpLinks> {
  const { environment, log, db } = options.context;
  const credential = await followCredential(() => readCredential(environment.home, options.identifier));
  const byAddress = new Map<string, SrpLink>();
  const leaving = new Set<SrpLink>();

  /** An empty list says nothing: a domain has a router. */
  function dialOnly(routers: readonly RouterAddress[]): void {
    if (routers.length === 0) return;
    const wanted = new Map(routers.map((router) => [addressText(router), router]));
    for (const [at, router] of wanted) if (!byAddress.has(at)) byAddress.set(at, dial(options, router, credential));
    for (const [at, link] of byAddress) {
      if (wanted.has(at)) continue;
      byAddress.delete(at);
      leaving.add(link);
      log.info({ at }, 'the router was removed from the domain; no longer dialled');
      void link.leave(leaveWithinMs).finally(() => leaving.delete(link));
    }
  }

  const present = await listRouterAddresses(db);
  dialOnly(present.length > 0 ? present : credential.present.routers);
  const links = () => [...byAddress.values()];
  return {
    get links() {
      return links();
    },
    follow: async (signal) => {
      const bell = createBell();
      const listening = await ringAtChanges(db, ['router'], bell);
      await takeTurns(bell, signal, async () => {
        try {
          dialOnly(await listRouterAddresses(db));
          return lateLookMs;
        } catch (error) {
          if (!signal.aborted) log.warn({ reason: messageOf(error) }, 'the routers could not be read; will retry');
          return againMs;
        }
      });
      await listening.unlisten();
    },
    detail: () => links().map(({ router, up, reconnects }) => ({ router: addressText(router), up, reconnects })),
    authorities: () => reportOf(links(), credential),
    reread: async () => {
      await credential.read();
      for (const link of links()) if (link.up && credential.isFormer(link)) link.redial();
    },
    ready: () => {
      if (links().some((link) => link.up && !link.stalled)) return null;
      return links().some((link) => link.up) ? 'its router is not responding' : 'no router has accepted its link';
    },
    serving: async (signal) => {
      const begun = systemClock.now();
      const enough = () =>
        links().every((link) => link.up) ||
        (links().some((link) => link.up) && systemClock.now() - begun > othersWithinMs);
      while (!enough()) await systemClock.sleep(lookMs, signal);
    },
    close: async () => {
      await Promise.all([...links(), ...leaving].map((link) => link.close()));
    },
  };
}

/** The credential of now, and by which certificate each link that is up was dialled. */
interface FollowedCredential {
  readonly present: SrpCredential;
  read(): Promise<SrpCredential>;
  /** Notes it when a link has come up. */
  use(link: SrpLink, certificatePem: string): void;
  used(link: SrpLink): string | undefined;
  isFormer(link: SrpLink): boolean;
}

async function followCredential(read: () => Promise<SrpCredential>): Promise<FollowedCredential> {
  let present = await read();
  const inUse = new WeakMap<SrpLink, string>();
  return {
    get present() {
      return present;
    },
    read: async () => {
      present = await read();
      return present;
    },
    use: (link, certificatePem) => void inUse.set(link, certificatePem),
    used: (link) => inUse.get(link),
    isFormer: (link) => inUse.get(link) !== present.certificatePem,
  };
}

function reportOf(links: readonly SrpLink[], { present, used }: FollowedCredential): TrustReport {
  const trusted = certificatesIn(present.domainAuthorityPem);
  const up = links.filter((link) => link.up).map(used);
  const certificates = up.length === 0 ? [present.certificatePem] : up;
  const issuers = new Set(certificates.map((pem) => (pem ? issuerAmong(new X509Certificate(pem), trusted) : null)));
  const [issuer = null] = issuers;
  return { trusts: trusted.map(authorityFingerprint), credentialBy: issuers.size === 1 ? issuer : null };
}

function dial({ context, handlers }: SrpLinkOptions, router: RouterAddress, credential: FollowedCredential): SrpLink {
  const { identity, log } = context;
  const component = { ...identity, linkVersions: [...identity.linkVersions], features: [...identity.features] };
  const failures = createSparseLog();
  const at = addressText(router);
  let dialledWith = '';
  const link = connectLink({
    ...{ router, component, handlers },
    credential: async () => {
      const present = await credential.read();
      dialledWith = present.certificatePem;
      return present;
    },
  });
  link.events.on('up', (accepted) => {
    log.info({ ...accepted }, 'link up');
    credential.use(link, dialledWith);
    // It was renewed meanwhile.
    if (credential.isFormer(link)) link.redial();
  });
  link.events.on('down', (reason) => log.warn({ reason, at }, 'link down'));
  link.events.on('stalled', () => log.warn({ at }, 'link stalled: the router is not responding'));
  link.events.on('recovered', () => log.info({ at }, 'link answers again'));
  link.events.on('refused', (refused) => log.error({ ...refused, at }, 'link refused'));
  // Every two seconds if a router asks for something it is not entitled to.
  link.events.on('failed', (error) =>
    failures.say(`${at} ${isBrambleError(error) ? error.code : ''}`, (times) =>
      log.warn({ reason: messageOf(error), at, times }, 'link failed'),
    ),
  );
  return link;
}

const addressText = ({ host, port }: RouterAddress) => `${host}:${port}`;
