/** The connection service (MDS): managed devices reach allowed internal hosts through tunnels over its SRP link. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';
import { Gauge } from 'prom-client';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { readMasterKeys } from '../database/sealed-value.ts';
import { type AllowedHosts, allowedHosts } from '../directory/allowed-hosts.ts';
import { credentialRenewal } from '../directory/credential-renewal.ts';
import { loadAuthorities } from '../domain/authorities.ts';
import { type ComponentContext, componentProcess, type Work } from '../process/component-process.ts';
import { dialRouters, keepCredentialFresh } from '../process/srp-links.ts';
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
  const { db, log, environment } = context;
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
  const handlers = {
    tunnel: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => tunnels.handle(stream, headers),
  };
  const links = await dialRouters({ context, identifier, handlers });
  const keys = await readMasterKeys(join(environment.home, 'keys', 'master.json'));
  const renewal = credentialRenewal(db, (await loadAuthorities(db, keys)).domain);
  const renewing = keepCredentialFresh({ context, identifier, ...renewal, signal: background.signal });
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
      links: links.detail(),
      tunnelsOpen: tunnels.open,
      tunnelsOpened: tunnels.opened,
    }),
    ready: () => links.ready(),
    drain: async () => {
      background.abort();
      await tunnels.drain(drainTunnelsMs);
      await Promise.all([following, renewing, links.close()]);
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
