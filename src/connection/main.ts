/** The connection service (MDS): managed devices reach allowed internal hosts through tunnels over its SRP link. */
import { Gauge } from 'prom-client';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { readCredential } from '../link/credential.ts';
import { connectLink } from '../link/dialler.ts';
import { type ComponentContext, componentProcess, type Work } from '../process/component-process.ts';
import { type AllowedHosts, allowedHosts } from './allowed-hosts.ts';
import { authorizeTunnel, readAllowedHosts } from './served-devices.ts';
import { createTunnels } from './tunnel.ts';

const settingsSchema = z.object({
  /** Of this connection service. */
  srpIdentifier: z.string().regex(/^C\d{8}$/),
});

const readHostsMs = 2000;
const drainTunnelsMs = 5000;

/** Runs until it is asked to end. */
export async function runConnectionService(): Promise<void> {
  await componentProcess({ kind: 'connection', settings: settingsSchema, maxConnections: 4, work: startTunnels });
}

async function startTunnels(context: ComponentContext<z.output<typeof settingsSchema>>): Promise<Work> {
  const { db, log, environment, identity } = context;
  const identifier = environment.settings.srpIdentifier;
  let allowed: AllowedHosts = await hostsOf(context, identifier);
  const tunnels = createTunnels({
    authorize: (fingerprint) => authorizeTunnel(db, identifier, fingerprint),
    allowed: () => allowed,
    onRefused: (code, reason) => log.info({ code, reason }, 'tunnel refused'),
  });
  const background = new AbortController();
  const following = followHosts(context, identifier, background.signal, (hosts) => {
    allowed = hosts;
  });
  const component = { ...identity, linkVersions: [...identity.linkVersions], features: [...identity.features] };
  const credential = () => readCredential(environment.home, identifier);
  const links = (await credential()).routers.map((router) => {
    const link = connectLink({
      router,
      credential,
      component,
      handlers: { tunnel: (stream, headers) => tunnels.handle(stream, headers) },
    });
    link.events.on('up', (accepted) => log.info({ ...accepted }, 'link up'));
    link.events.on('down', (reason) => log.warn({ reason }, 'link down'));
    link.events.on('refused', (refused) => log.error({ ...refused }, 'link refused'));
    link.events.on('failed', (error) => log.warn({ reason: messageOf(error) }, 'link failed'));
    return link;
  });
  new Gauge({
    name: 'bramble_tunnels_open',
    help: 'Tunnels that stand now.',
    registers: [context.registry],
    collect() {
      this.set(tunnels.open);
    },
  });
  return {
    detail: () => ({
      links: links.map((link) => ({ router: `${link.router.host}:${link.router.port}`, up: link.up })),
      tunnelsOpen: tunnels.open,
      tunnelsOpened: tunnels.opened,
    }),
    ready: () => (links.some((link) => link.up) ? null : 'no router has accepted its link'),
    drain: async () => {
      background.abort();
      await tunnels.drain(drainTunnelsMs);
      await Promise.all([following, ...links.map((link) => link.close())]);
    },
  };
}

async function hostsOf(context: Pick<ComponentContext<unknown>, 'db'>, identifier: string): Promise<AllowedHosts> {
  const patterns = await readAllowedHosts(context.db, identifier);
  if (patterns === 'not-found') {
    throw new BrambleError('ERR_NOT_FOUND', `No connection service has the SRP identifier ${identifier}.`);
  }
  return allowedHosts(patterns);
}

/** Takes up changed patterns within seconds; while they cannot be read, those in force stay. */
async function followHosts(
  context: ComponentContext<unknown>,
  identifier: string,
  signal: AbortSignal,
  onHosts: (hosts: AllowedHosts) => void,
): Promise<void> {
  while (!signal.aborted) {
    await systemClock.sleep(readHostsMs, signal).catch(() => {});
    if (signal.aborted) return;
    await hostsOf(context, identifier).then(onHosts, (error: unknown) => {
      context.log.warn({ reason: messageOf(error) }, 'the allowed hosts were not read');
    });
  }
}
