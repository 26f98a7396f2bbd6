/**
 * How a router ends:
 *
 *   both ports closed → diallers notified → devices answered → last outcomes reported → links closed
 *
 * Invariant: links serve until devices are done, and every dialler is notified before, even one that links during the
 * drain, so that it links to the successor.
 */
import type { Server } from 'node:net';
import { messageOf } from '../../base/errors.ts';
import { linkPaths } from '../../link/messages.ts';
import type { Logger } from '../../process/log/logger.ts';
import { exchangeJson } from './link-exchange.ts';
import type { LinkRegistry, RouterLink } from './link-registry.ts';
import type { OutcomeReporter } from './outcome-reporter.ts';
import type { PublicListener } from './public-listener.ts';
import type { RouterMemory } from './router-memory.ts';
import type { RouterRegistration } from './router-registration.ts';

/** How long a drain waits for the last outcomes to be acknowledged. */
const lastReportMs = 1000;

interface RouterDrain {
  /** A link came into service. */
  onLink(link: RouterLink): void;
  /** What is left after `graceMs` is cut. */
  drain(graceMs: number): Promise<void>;
}

export function createRouterDrain(options: {
  memory: RouterMemory;
  links: LinkRegistry;
  srpServer: Server;
  listener: PublicListener;
  outcomes: OutcomeReporter;
  registration: RouterRegistration;
  tunnelsOpen: () => number;
  /** How long devices usually pause between two requests on the same connection. */
  pauseMs: number;
  log: Logger;
}): RouterDrain {
  const { links, listener, log } = options;
  let begun = false;

  async function tell(link: RouterLink): Promise<void> {
    try {
      await exchangeJson(link.session, 'POST', linkPaths.draining, {}, 1000);
    } catch (error) {
      log.debug(
        { identifier: link.identifier, error: messageOf(error) },
        'a dialler could not be told of the draining',
      );
    }
  }

  return {
    onLink: (link) => {
      if (begun) void tell(link);
    },
    drain: async (graceMs) => {
      begun = true;
      // A removed component must not delay the next start: the list of linked ones is rewritten at each drain.
      await options.memory.replaceLinked(links.all().map(({ identifier }) => identifier));
      // Newcomers stay in the sockets' queues, which the supervisor passes on; diallers, told next, reach the successor.
      for (const server of [options.srpServer, listener.server]) if (server.listening) server.close();
      await Promise.all(links.all().map(tell));
      // Once no instance is linked, there is nothing left that a device could request.
      const pauseMs = links.servers().length > 0 ? options.pauseMs : 0;
      await listener.drain({
        ...{ pauseMs, graceMs },
        onLimit: () => {
          const tunnels = options.tunnelsOpen();
          if (tunnels === 0) return;
          log.warn(
            { tunnels, afterMs: graceMs },
            'tunnels were still open at the limit of the drain, and have been ended',
          );
        },
      });
      await options.outcomes.finish(lastReportMs);
      options.registration.stop();
      for (const { session } of links.all()) {
        session.close();
        setTimeout(() => session.destroy(), 1000).unref();
      }
    },
  };
}
