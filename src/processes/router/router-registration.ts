/** Registers the router with every linked instance, every few seconds. */
import { messageOf } from '../../base/errors.ts';
import { type LinkComponent, linkPaths, type TrustReport } from '../../link/messages.ts';
import type { Logger } from '../../process/log/logger.ts';
import { exchangeJson } from './link-exchange.ts';
import type { LinkRegistry, RouterLink } from './link-registry.ts';

export interface RouterRegistration {
  /** @param loopbackUrl of the health server */
  start(loopbackUrl: string): void;
  stop(): void;
}

export function createRouterRegistration(options: {
  component: LinkComponent;
  links: LinkRegistry;
  tunnelsOpen: () => number;
  authorities: () => TrustReport;
  everyMs: number;
  log: Logger;
}): RouterRegistration {
  const { links, everyMs, log } = options;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  async function tell(link: RouterLink, registration: unknown): Promise<void> {
    try {
      await exchangeJson(link.session, 'POST', linkPaths.router, registration, everyMs);
    } catch (error) {
      log.debug({ identifier: link.identifier, error: messageOf(error) }, 'the instance did not register the router');
    }
  }

  return {
    start: (loopbackUrl) => {
      const tellAll = async () => {
        const registration = {
          ...options.component,
          loopbackUrl,
          tunnelsOpen: options.tunnelsOpen(),
          authorities: options.authorities(),
          links: links.all().map(({ identifier, sinceMs, reconnects }) => ({
            identifier,
            since: new Date(sinceMs).toISOString(),
            reconnects,
          })),
        };
        await Promise.all(links.servers().map((link) => tell(link, registration)));
        if (!stopped) timer = setTimeout(tellAll, everyMs);
      };
      timer = setTimeout(tellAll, 0);
    },
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
