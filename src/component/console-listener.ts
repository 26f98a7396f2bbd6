/**
 * Where the console's connections are accepted, by the administration service or, across the release fence, by the coordinator:
 * one socket, which outlives both.
 *
 * Invariant: it is accepted on only until the signal is aborted; from then on connections wait in the socket's queue for who is
 * next, and those that are open end with the answer under way.
 */
import type { Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../base/clock.ts';
import { originAt } from '../base/console-origin.ts';
import { messageOf } from '../base/errors.ts';
import { readPresent } from '../base/present-file.ts';
import { writeWholeFile } from '../database/whole-file.ts';
import { type ConsoleSettings, readConfiguration } from '../process/configuration.ts';
import { aborted } from '../process/supervision.ts';
import type { ComponentContext } from './component-process.ts';
import { type ConsoleCertificate, followConsoleCertificate, readConsoleCertificate } from './console-certificate.ts';

/** Made anew for each time that it is accepted on. */
interface ConsoleServer {
  readonly server: Server | SecureServer;
  readonly scheme: 'http' | 'https';
  renew(certificate: ConsoleCertificate): void;
  close(): Promise<void>;
}

const retryMs = 2000;
/** Longer than it takes until who had the address before lets it go, or the supervisor hands the socket over. */
const patienceMs = 10_000;

/** Who is told, once, if it cannot be reached for a while. */
interface Unserved {
  tell(reason: string): void;
  /** Default 10 s. */
  afterMs?: number;
}

/** Accepts until the signal is aborted, and then ends what is open. What fails is logged once and tried again. */
export async function serveConsole(
  context: Pick<ComponentContext<unknown>, 'environment' | 'log' | 'sockets'>,
  createServer: (settings: ConsoleSettings, certificate: ConsoleCertificate | null) => ConsoleServer,
  signal: AbortSignal,
  { tell, afterMs = patienceMs }: Unserved = { tell: () => undefined },
): Promise<void> {
  const { environment, log, sockets } = context;
  // Made without a home of its own, as in a trial.
  if ((await readPresent(join(environment.home, 'config.json'))) === null) return;
  const tellAt = performance.now() + afterMs;
  const done = { logged: false, told: false };
  const unserved = (reason: string): void => {
    if (!done.told && !signal.aborted) tell(reason);
    done.told = true;
  };
  const failed = (reason: string): void => {
    if (!done.logged && !signal.aborted) log.warn({ error: reason }, 'the console is not served; will retry');
    done.logged = true;
    if (performance.now() >= tellAt) unserved(reason);
  };
  while (!signal.aborted) {
    try {
      const { console: settings } = await readConfiguration(environment.home);
      const read = async () => await readConsoleCertificate(environment.home, settings);
      const certificate = await read();
      const { listen: host, port } = settings;
      const slow = `the supervisor has no socket for it yet; perhaps port ${port} on ${host} is taken`;
      const late = setTimeout(unserved, afterMs, slow).unref();
      const place = await sockets.take('console', { host, port }, signal).finally(() => clearTimeout(late));
      if (place === null) return;
      const served = createServer(settings, certificate);
      let following: Promise<void> | undefined;
      try {
        await listening(served.server, place);
        sockets.hold('console', served.server);
        await announce(environment.home, served, settings);
        if (certificate !== null) {
          const followed = { read, present: certificate, clock: systemClock, log, signal };
          following = followConsoleCertificate({ ...followed, use: (renewed) => served.renew(renewed) });
        }
        await aborted(signal);
      } finally {
        await Promise.all([served.close(), following]);
      }
    } catch (error) {
      failed(messageOf(error));
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function listening(server: Server, place: object): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(place, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Where a browser finds it: `console.json` in the home, which stays when the process ends, as the address does. */
async function announce(home: string, { server, scheme }: ConsoleServer, settings: ConsoleSettings): Promise<void> {
  const { address, port } = server.address() as AddressInfo;
  const url = originAt({ scheme, names: settings.names }, { address, port });
  await writeWholeFile(join(home, 'console.json'), `${JSON.stringify({ url })}\n`, 'w');
}
