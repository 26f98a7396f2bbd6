/**
 * The SRP links of a component that dials: one to each router that its credential names, and the credential kept fresh.
 *
 * Invariant: the credential file always holds a whole credential; a renewed one is written to a temporary file and
 * renamed, and the links use it at their next dial.
 */
import { X509Certificate } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { type Clock, systemClock } from '../base/clock.ts';
import { isBrambleError, messageOf } from '../base/errors.ts';
import { createSparseLog } from '../base/sparse-log.ts';
import { credentialPath, readCredential, type SrpCredential } from '../link/credential.ts';
import { connectLink, type SrpLink } from '../link/dialler.ts';
import type { LinkHandlers } from '../link/link-endpoint.ts';
import type { ComponentContext } from './component-process.ts';

export interface SrpLinks {
  readonly links: readonly SrpLink[];
  /** For the component's detail. */
  detail(): { router: string; up: boolean; reconnects: number }[];
  /** `null` when a router has accepted a link and responds on it. */
  ready(): string | null;
  /** Resolves once every router has accepted a link; after {@link othersWithinMs} one is enough, since another may be away. */
  serving(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

interface SrpLinkOptions {
  context: Pick<ComponentContext<unknown>, 'environment' | 'identity' | 'log'>;
  identifier: string;
  handlers: LinkHandlers;
}

const othersWithinMs = 10_000;
const lookMs = 50;

/** Dials every router that the credential names. @throws BrambleError ERR_SRP_CREDENTIAL */
export async function dialRouters({ context, identifier, handlers }: SrpLinkOptions): Promise<SrpLinks> {
  const { environment, identity, log } = context;
  const credential = () => readCredential(environment.home, identifier);
  const component = { ...identity, linkVersions: [...identity.linkVersions], features: [...identity.features] };
  const failures = createSparseLog();
  const links = (await credential()).routers.map((router) => {
    const link = connectLink({ router, credential, component, handlers });
    const at = `${router.host}:${router.port}`;
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
  });
  return {
    links,
    detail: () =>
      links.map(({ router, up, reconnects }) => ({ router: `${router.host}:${router.port}`, up, reconnects })),
    ready: () => {
      if (links.some((link) => link.up && !link.stalled)) return null;
      return links.some((link) => link.up) ? 'its router is not responding' : 'no router has accepted its link';
    },
    serving: async (signal) => {
      const begun = systemClock.now();
      const enough = () =>
        links.every((link) => link.up) || (links.some((link) => link.up) && systemClock.now() - begun > othersWithinMs);
      while (!enough()) await systemClock.sleep(lookMs, signal);
    },
    close: async () => {
      await Promise.all(links.map((link) => link.close()));
    },
  };
}

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
