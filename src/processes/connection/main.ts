/** The connection service (MDS): managed devices reach allowed internal hosts through tunnels over its SRP link. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { systemAddresses } from '../../base/name-lookups.ts';
import { keepCredential } from '../../component/authority-following.ts';
import { type ComponentContext, componentProcess, type Work } from '../../component/component-process.ts';
import { dialRouters } from '../../component/srp-links.ts';
import type { Database } from '../../database/connection.ts';
import { recordHeard } from '../../devices/device-certificates.ts';
import { readDomain } from '../../domain/domain.ts';
import { recordEvent } from '../../domain/events.ts';
import { ensureCredential } from '../../hosts/first-credential.ts';
import { type AllowedHosts, allowedHosts } from '../../instances/allowed-hosts.ts';
import { readAllowedHosts } from '../../instances/allowed-hosts-store.ts';
import { credentialRenewal } from '../../instances/credential-renewal.ts';
import { readCredential } from '../../link/credential.ts';
import { addGauges } from '../../process/health.ts';
import { loopbackPorts } from '../../registry/components.ts';
import { poolSize } from '../../registry/database-sessions.ts';
import { listRouterAddresses } from '../../routers/router-addresses.ts';
import { createOwnEndpoints, ownPlaces } from './own-endpoints.ts';
import { authorizeTunnels, readHostsElsewhere } from './served-devices.ts';
import { createTunnels, type TunnelOptions } from './tunnel.ts';
import type { OwnEndpoint } from './tunnel-rule.ts';

export const connectionServiceSettings = z.object({
  /** Of this connection service. */
  srpIdentifier: z.string().regex(/^C\d{8}$/),
  /** A tunnel is cut after this time, whatever it does. */
  longestTunnelMinutes: z
    .number()
    .int()
    .min(1)
    .max(30 * 24 * 60)
    .default(12 * 60),
});

const drainTunnelsMs = 5000;

/** Runs until it is asked to end. */
export async function runConnectionService(): Promise<void> {
  await componentProcess({
    kind: 'connection',
    settings: connectionServiceSettings,
    maxConnections: poolSize.connection,
    work: startTunnels,
  });
}

async function startTunnels(context: ComponentContext<z.output<typeof connectionServiceSettings>>): Promise<Work> {
  const { db, log, environment } = context;
  const { srpIdentifier: identifier, longestTunnelMinutes } = environment.settings;
  await ensureCredential({ db, home: environment.home, host: context.identity.host, identifier }, context.stopping);
  const tunnels = createTunnels({
    rights: await tunnelRights(context, identifier),
    maxLifeMs: longestTunnelMinutes * 60_000,
    onSuspended: (fingerprint) => {
      recordHeard(db, fingerprint).catch((error: unknown) => {
        log.warn(
          { reason: messageOf(error) },
          'contact of a suspended enrolment was not recorded; will retry at its next tunnel',
        );
      });
    },
    onRefused: (code, reason, certificate) =>
      log.info({ certificate, code, reason }, 'tunnel refused, closed or broken'),
  });
  const background = new AbortController();
  const handlers = {
    tunnel: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => tunnels.handle(stream, headers),
  };
  const links = await dialRouters({ context, identifier, handlers });
  const { signal } = background;
  const renewing = keepCredential({ context, identifier, links, ...credentialRenewal(db), signal });
  const following = links.follow(signal).catch((error: unknown) => context.fail(error));
  addGauges(context.registry, {
    bramble_tunnels_open: { help: 'Open tunnels.', value: () => tunnels.open },
    bramble_tunnels_cut: {
      help:
        'Open tunnels that were closed because they were no longer permitted, could not be confirmed, or were too ' +
        'old.',
      value: () => tunnels.cut,
    },
  });
  return {
    detail: () => ({
      links: links.detail(),
      authorities: links.authorities(),
      tunnelsOpen: tunnels.open,
      tunnelsOpened: tunnels.opened,
      tunnelsCut: tunnels.cut,
    }),
    ready: () => links.ready(),
    serving: (signal) => links.serving(signal),
    drain: async () => {
      background.abort();
      const left = await tunnels.drain(drainTunnelsMs);
      await Promise.all([renewing, following, links.close(), left > 0 && tellOfEnded(context, left)]);
    },
  };
}

/** Those that outlived the drain. The process is at its end: only the log and an event still say so. */
async function tellOfEnded({ db, log, identity }: ComponentContext<unknown>, tunnels: number): Promise<void> {
  const { name, host, release } = identity;
  const what = counted(tunnels, 'tunnel that was', 'tunnels that were');
  const message = `${name} of ${release} on ${host} has ended ${what} still open ${drainTunnelsMs / 1000} s after it was to end`;
  log.warn(
    { tunnels, afterMs: drainTunnelsMs },
    'tunnels were still open at the limit of the drain, and have been ended',
  );
  await recordEvent(db, { kind: 'tunnels-ended', subject: name, message, detail: { tunnels } }).catch(
    (error: unknown) => log.warn({ reason: messageOf(error) }, 'the event could not be recorded'),
  );
}

/**
 * Who may have a tunnel, and where to, looked up in the database each time.
 * @throws BrambleError ERR_NOT_FOUND when there is no such connection service.
 */
async function tunnelRights(
  { db, databaseUrl, environment }: ComponentContext<unknown>,
  identifier: string,
): Promise<TunnelOptions['rights']> {
  await hostsOf(db, identifier);
  const { publicUrl } = await readDomain(db);
  const { routers: first } = await readCredential(environment.home, identifier);
  const placesWith = (routers: typeof first) => ownPlaces({ databaseUrl, publicUrl, routers });
  const places = async () => {
    const present = await listRouterAddresses(db);
    return placesWith(present.length > 0 ? present : first);
  };
  const own = createOwnEndpoints(placesWith(first), places, addressesOf, () => performance.now());
  return async (fingerprints) => {
    const [authorizations, hosts, ports, endpoints] = await Promise.all([
      authorizeTunnels(db, identifier, fingerprints),
      hostsOf(db, identifier),
      loopbackPorts(db),
      own(),
    ]);
    const notServed = fingerprints.filter((fingerprint) => authorizations.get(fingerprint) === 'not-served');
    const elsewhere = await readHostsElsewhere(db, notServed);
    return { authorizations, elsewhere, rule: { hosts, own: [...endpoints, ...ports.flatMap(componentEndpoints)] } };
  };
}

async function addressesOf(name: string): Promise<string[]> {
  return (await systemAddresses(name)).map(({ address }) => address);
}

function componentEndpoints(port: number): OwnEndpoint[] {
  return ['127.0.0.1', '::1'].map((address) => ({ address, port, what: 'a component of the domain' }));
}

async function hostsOf(db: Database, identifier: string): Promise<AllowedHosts> {
  const patterns = await readAllowedHosts(db, identifier);
  if (patterns === 'not-found') {
    throw new BrambleError('ERR_NOT_FOUND', `No connection service has the SRP identifier ${identifier}.`);
  }
  return allowedHosts(patterns);
}
