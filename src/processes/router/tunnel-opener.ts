/**
 * Tunnels: a device's CONNECT, over HTTP/1.1 or HTTP/2, is forwarded over the link of a connection service that serves
 * the device, and bytes flow both ways.
 *
 * Invariant: another service is tried only while none has answered, when no byte from the device has been passed on.
 *
 * @see RFC 9110 §9.3.6, RFC 9113 §8.5 (CONNECT)
 */
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { isReceivedCode } from '../../base/error-codes.ts';
import { messageOf } from '../../base/errors.ts';
import { breakOff, pipeOneWay } from '../../link/one-way.ts';
import type { Logger } from '../../process/log/logger.ts';
import type { DeviceEnd } from './device-end.ts';
import { fingerprintOf, type Sender } from './forwarded-headers.ts';
import type { LinkPatience } from './link-patience.ts';
import type { LinkRegistry, RouterLink } from './link-registry.ts';
import { type Reply, refusal } from './reply.ts';
import type { RouteDirectory } from './route-directory.ts';

interface TunnelOpenerOptions {
  tunnelHost: string | undefined;
  links: LinkRegistry;
  routes: RouteDirectory;
  log: Logger;
  patience: LinkPatience;
  /** Milliseconds, never falling. */
  now: () => number;
  /** For each connection service. Default 10000. */
  openTimeoutMs?: number;
  /** Changes the count of open tunnels. */
  onCount: (change: 1 | -1) => void;
}

/** For a connection service that is expected back: clients give up after about ten seconds, and are told why before that. */
const expectedWithinMs = 5000;
// How old a route may be, in milliseconds.
const anyAge = Number.POSITIVE_INFINITY;
const askAgain = -1;
// What is valid in `:authority`; whether the host may be reached is for the connection service to decide.
const targetPattern = /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253}):\d{1,5}$/;

/** Answers the CONNECT; resolves to the status that the device gets. Never rejects. */
export type TunnelOpener = (end: DeviceEnd, sender: Sender) => Promise<number>;

export function createTunnelOpener(options: TunnelOpenerOptions): TunnelOpener {
  return async (end, sender) => {
    end.stream.on('error', (error: unknown) =>
      options.log.debug({ error: messageOf(error) }, 'tunnel broken by the device'),
    );
    try {
      const refused = await open(end, sender, options);
      if (refused === null) return 200;
      end.refuse(refused);
      return refused.status;
    } catch (error) {
      options.log.error({ error: messageOf(error) }, 'tunnel failed in the router');
      end.refuse(refusal(503, 'ERR_INTERNAL', 'Internal error in the router; retry later.'));
      return 503;
    }
  };
}

/** Null once the tunnel is open. */
async function open(end: DeviceEnd, sender: Sender, options: TunnelOpenerOptions): Promise<Reply | null> {
  if (options.tunnelHost !== undefined && end.serverName !== options.tunnelHost) {
    return refusal(400, 'ERR_TUNNEL_HOST', 'Open tunnels under the host name that the device was given for them.');
  }
  if (!targetPattern.test(end.target)) {
    return refusal(400, 'ERR_TUNNEL_TARGET', 'The target of a tunnel must be host:port.');
  }
  if (sender.clientCertificate === null) {
    return refusal(400, 'ERR_TUNNEL_CERTIFICATE', "A tunnel needs the device's certificate in TLS.");
  }
  const fingerprint = fingerprintOf(sender.clientCertificate);
  const request: OutgoingHttpHeaders = {
    ':method': 'CONNECT',
    ':authority': end.target,
    'client-cert': sender.clientCertificate,
    'bramble-remote-address': sender.remoteAddress,
  };
  const hope = options.patience.begin(options.now() + expectedWithinMs);
  const first = await openByRoute(end, request, fingerprint, anyAge, options);
  // The account may have moved since the route was learned: look it up again, once. Nothing from the device has been
  // passed on.
  const outdated = first !== null && ('services' in first || first.headers['bramble-code'] === 'ERR_TUNNEL_NOT_SERVED');
  let last = outdated ? await openByRoute(end, request, fingerprint, askAgain, options) : first;
  while (last !== null && 'services' in last && !end.stream.destroyed && (await hope(last.services))) {
    last = await openByRoute(end, request, fingerprint, askAgain, options);
  }
  return last !== null && 'services' in last ? noService() : last;
}

/** None of the connection services of the route is linked or answered; null where nobody said which they are. */
interface Unserved {
  readonly services: readonly string[] | null;
}

function noService(): Reply {
  return refusal(503, 'ERR_TUNNEL_NO_SERVICE', 'No connection service for this device is connected; retry later.');
}

/** Tries the connection services of the route in order; a route older than `maxAgeMs` is asked for again. */
async function openByRoute(
  end: DeviceEnd,
  request: OutgoingHttpHeaders,
  fingerprint: string,
  maxAgeMs: number,
  options: TunnelOpenerOptions,
): Promise<Reply | Unserved | null> {
  const route = await options.routes.find('certificate', fingerprint, maxAgeMs);
  if (route.kind === 'unknown')
    return refusal(400, 'ERR_UNKNOWN_DEVICE', 'No device of this domain has this certificate.');
  const services = route.kind === 'found' ? route.connectionServices : null;
  for (const identifier of services ?? []) {
    const link = options.links.get(identifier);
    if (!link || end.stream.destroyed) continue;
    const upstream = await openOver(link, request, options.openTimeoutMs ?? 10_000);
    if (upstream === null) continue;
    const status = Number(upstream.headers[':status']);
    if (status === 503) {
      upstream.stream.destroy();
      continue;
    }
    if (status !== 200) {
      upstream.stream.destroy();
      const code = upstream.headers['bramble-code'];
      return refusal(status, isReceivedCode(code) ? code : 'ERR_TUNNEL_REFUSED', reasonOf(upstream.headers));
    }
    join(end, upstream.stream, options);
    return null;
  }
  return { services };
}

/** Which rule refused, as reported by the connection service. */
function reasonOf(headers: IncomingHttpHeaders): string {
  const reason = headers['bramble-reason'];
  const said = typeof reason === 'string' && /^[\x20-\x7e]{1,300}$/.test(reason) ? `: ${reason}` : '';
  return `The connection service refused the tunnel${said}.`;
}

interface Upstream {
  stream: ClientHttp2Stream;
  headers: IncomingHttpHeaders;
}

/** Null when the service did not answer: nothing from the device was sent, so another may be tried. */
function openOver(link: RouterLink, headers: OutgoingHttpHeaders, timeoutMs: number): Promise<Upstream | null> {
  return new Promise((resolve) => {
    try {
      const stream = link.session.request(headers, { endStream: false });
      const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), timeoutMs);
      stream.once('response', (answered) => {
        clearTimeout(timer);
        resolve({ stream, headers: answered });
      });
      // Settled by the 'close' that follows.
      stream.on('error', () => undefined);
      stream.once('close', () => {
        clearTimeout(timer);
        resolve(null);
      });
    } catch {
      // The session closed between the choice and the request.
      resolve(null);
    }
  });
}

/** Bytes both ways; the end of one direction leaves the other open, a break ends both. */
function join(end: DeviceEnd, service: ClientHttp2Stream, { onCount }: TunnelOpenerOptions): void {
  if (end.stream.destroyed) {
    breakOff(service, 'the device disconnected');
    return;
  }
  onCount(1);
  end.accept();
  pipeOneWay(end.stream, service);
  pipeOneWay(service, end.stream);
  end.stream.once('close', () => {
    onCount(-1);
    // After an orderly end the last bytes for the service may still be on their way.
    if (end.broken) breakOff(service, 'the device broke the connection');
  });
  service.once('close', () => {
    if (service.rstCode !== constants.NGHTTP2_NO_ERROR) end.breakOff('the connection service broke the connection');
  });
}
