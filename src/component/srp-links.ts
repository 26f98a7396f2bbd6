/**
 * The SRP links of a component that dials: one to each router of the domain, followed while routers come and go, and the
 * credential kept fresh. Where the database names no router, the credential file does.
 *
 * Invariants: the link to a removed router serves until that router has drained. The credential file always holds a whole credential; a renewed one is written to a temporary file and
 * renamed, and the links use it at their next dial.
 */
import { X509Certificate } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { createBell } from '../base/bell.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { isBrambleError, messageOf } from '../base/errors.ts';
import { createSparseLog } from '../base/sparse-log.ts';
import { takeTurns } from '../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../database/change-notices.ts';
import { credentialPath, type RouterAddress, readCredential, type SrpCredential } from '../link/credential.ts';
import { connectLink, type SrpLink } from '../link/dialler.ts';
import type { LinkHandlers } from '../link/link-endpoint.ts';
import { listRouterAddresses } from '../routers/router-addresses.ts';
import type { ComponentContext } from './component-process.ts';

export interface SrpLinks {
  /** To the routers of the moment. */
  readonly links: readonly SrpLink[];
  /** Dials routers that are added and leaves those that are removed, until the signal is aborted. */
  follow(signal: AbortSignal): Promise<void>;
  /** For the component's detail. */
  detail(): { router: string; up: boolean; reconnects: number }[];
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
  const byAddress = new Map<string, SrpLink>();
  const leaving = new Set<SrpLink>();

  /** An empty list says nothing: a domain has a router. */
  function dialOnly(routers: readonly RouterAddress[]): void {
    if (routers.length === 0) return;
    const wanted = new Map(routers.map((router) => [addressText(router), router]));
    for (const [at, router] of wanted) if (!byAddress.has(at)) byAddress.set(at, dial(options, router));
    for (const [at, link] of byAddress) {
      if (wanted.has(at)) continue;
      byAddress.delete(at);
      leaving.add(link);
      log.info({ at }, 'the router was removed from the domain; no longer dialled');
      void link.leave(leaveWithinMs).finally(() => leaving.delete(link));
    }
  }

  const present = await listRouterAddresses(db);
  dialOnly(present.length > 0 ? present : (await readCredential(environment.home, options.identifier)).routers);
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

function dial({ context, identifier, handlers }: SrpLinkOptions, router: RouterAddress): SrpLink {
  const { environment, identity, log } = context;
  const component = { ...identity, linkVersions: [...identity.linkVersions], features: [...identity.features] };
  const failures = createSparseLog();
  const at = addressText(router);
  const link = connectLink({
    ...{ router, component, handlers },
    credential: () => readCredential(environment.home, identifier),
  });
  link.events.on('up', (accepted) => log.info({ ...accepted }, 'link up'));
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

interface CredentialRenewal {
  context: SrpLinkOptions['context'];
  identifier: string;
  /** Whether it is time, by the certificate's validity. */
  isDue: (credential: SrpCredential) => Promise<boolean>;
  /** Gets the successor of the present credential; may take until an administration service is at work. */
  renew: (present: SrpCredential, signal: AbortSignal) => Promise<SrpCredential>;
  signal: AbortSignal;
  clock?: Pick<Clock, 'now' | 'sleep'>;
}

const renewalCheckMs = 3_600_000;
const soonestRetryMs = 60_000;

/** Renews the credential when a third of its validity is left; looks every hour, and sooner after a failure where it ends soon. */
export async function keepCredentialFresh(options: CredentialRenewal): Promise<void> {
  const { context, identifier, signal, clock = systemClock } = options;
  while (!signal.aborted) {
    let restMs = renewalCheckMs;
    try {
      const present = await readCredential(context.environment.home, identifier);
      if (await options.isDue(present)) {
        restMs = retryMs(present, clock.now());
        const path = credentialPath(context.environment.home, identifier);
        await writeFile(`${path}.new`, `${JSON.stringify(await options.renew(present, signal), null, 2)}\n`, {
          mode: 0o600,
        });
        await rename(`${path}.new`, path);
        restMs = renewalCheckMs;
        context.log.info({ identifier }, 'SRP credential renewed');
      }
    } catch (error) {
      if (signal.aborted) return;
      context.log.error(
        { reason: messageOf(error), minutes: Math.round(restMs / 60_000) },
        'the SRP credential was not renewed; will retry',
      );
    }
    await clock.sleep(restMs, signal).catch(() => {});
  }
}

/** Often enough to leave several tries before it expires; an expired one cannot be renewed. */
function retryMs(present: SrpCredential, nowMs: number): number {
  const leftMs = new X509Certificate(present.certificatePem).validToDate.getTime() - nowMs;
  return leftMs <= 0 ? renewalCheckMs : Math.min(renewalCheckMs, Math.max(soonestRetryMs, leftMs / 4));
}
