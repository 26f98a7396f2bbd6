/**
 * Tunnels at the connection service: an HTTP/2 CONNECT that came over the link becomes a TCP connection to an internal
 * host. The end of one direction is passed on and leaves the other open; a break ends both.
 *
 *   authorised → resolved → dialled → open, re-authorised every few seconds → ended or cut
 *
 * Invariant: no connection is opened before the device is authorised by its certificate and the very address that is
 * dialled is allowed; an open tunnel is closed within seconds when its right is gone, and within a minute when its right
 * cannot be confirmed; each tunnel is counted from its opening until both of its ends are gone.
 *
 * @see RFC 9113 §8.5 (CONNECT), RFC 9440 (Client-Cert)
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { isIP, type Socket } from 'node:net';
import { assertNever } from '../../base/assert-never.ts';
import type { ErrorCode } from '../../base/error-codes.ts';
import { messageOf } from '../../base/errors.ts';
import { createNameLookups, type NameLookups } from '../../base/name-lookups.ts';
import { type TunnelTarget, tunnelTargetOf } from '../../instances/allowed-hosts.ts';
import { breakOff } from '../../link/one-way.ts';
import { joinEnds, type OpenTunnel } from './open-tunnel.ts';
import { dialFirst } from './tunnel-dial.ts';
import type { TunnelAuthorization, TunnelRights } from './tunnel-rights.ts';
import { type RuleRefusal, refusalOfAddress, refusalOfTarget, type TunnelRule } from './tunnel-rule.ts';
import { watchTunnels } from './tunnel-watch.ts';

export interface TunnelOptions {
  /** @param fingerprints SHA-256 of the devices' DER certificates, lower-case hex. */
  rights: (fingerprints: readonly string[]) => Promise<TunnelRights>;
  /** All addresses of a name, for the device of that certificate. Default: as the system looks it up. */
  resolve?: NameLookups;
  /** A tunnel without a byte in either direction is closed after this. Default 600000. */
  idleTimeoutMs?: number;
  /** A tunnel is cut after this, whatever it does. Default 12 hours. */
  maxLifeMs?: number;
  /** For resolving the name of the internal host and connecting to it. Default 10000. */
  connectTimeoutMs?: number;
  /** Between two queries about the open tunnels. Default 2000. */
  recheckMs?: number;
  /** How long open tunnels continue while that query is unanswered. Default 60000. */
  unconfirmedMs?: number;
  /** Milliseconds, never falling. */
  now?: () => number;
  /**
   * The certificate of a suspended enrolment was shown for a new tunnel. An existing tunnel proves nothing: the device
   * may be gone before its connection is.
   */
  onSuspended?: (fingerprint: string) => void;
  /**
   * A tunnel was refused, was cut, or broke; `certificate` is the fingerprint of its device's certificate, null if none
   * was named.
   */
  onRefused?: (code: ErrorCode, reason: string, certificate: string | null) => void;
}

export interface Tunnels {
  /** For the link's `tunnel` handler. */
  handle(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void;
  /** Tunnels currently open. */
  readonly open: number;
  /** Tunnels ever opened. */
  readonly opened: number;
  /** Open tunnels that were cut because their right was gone, or could not be confirmed, or they were too old. */
  readonly cut: number;
  /** Refuses new tunnels (503), waits until the open ones have ended, and cuts those left after `graceMs`; returns how many. */
  drain(graceMs: number): Promise<number>;
}

interface Refusal {
  status: number;
  code: ErrorCode;
  reason: string;
}

export function createTunnels(options: TunnelOptions): Tunnels {
  const now = options.now ?? (() => performance.now());
  const names = options.resolve ?? createNameLookups();
  const open = new Set<OpenTunnel>();
  let opened = 0;
  let draining = false;
  const watch = watchTunnels({
    open,
    rights: options.rights,
    judge: (tunnel, rights) => refusalOfOpen(tunnel, rights),
    recheckMs: options.recheckMs ?? 2000,
    unconfirmedMs: options.unconfirmedMs ?? 60_000,
    maxLifeMs: options.maxLifeMs ?? 12 * 3_600_000,
    now,
    onCut: ({ code, reason }, { fingerprint }) => options.onRefused?.(code, reason, fingerprint),
  });

  async function start(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<Refusal | null> {
    if (draining) return { status: 503, code: 'ERR_TUNNEL_DRAINING', reason: 'this connection service is stopping' };
    const wanted = wantedBy(headers);
    if ('status' in wanted) return wanted;
    const { fingerprint, target } = wanted;
    const askedAtMs = now();
    const rights = await options.rights([fingerprint]);
    const authorization = rights.authorizations.get(fingerprint);
    if (authorization === 'suspended') options.onSuspended?.(fingerprint);
    const refusal = refusalOfDevice(authorization) ?? refusalOfTarget(target, rights.rule);
    if (refusal) return { status: refusal.code === 'ERR_UNKNOWN_DEVICE' ? 400 : 403, ...refusal };
    const deadline = AbortSignal.timeout(options.connectTimeoutMs ?? 10_000);
    const resolve = () => names(target.host, fingerprint, deadline);
    const dialled = await dialAllowed(target, rights.rule, stream, resolve, deadline);
    if ('status' in dialled) return dialled;
    join({ fingerprint, target, openedAtMs: askedAtMs, stream, ...dialled });
    return null;
  }

  function join(tunnel: OpenTunnel): void {
    open.add(tunnel);
    opened += 1;
    watch.look();
    joinEnds(tunnel, {
      idleTimeoutMs: options.idleTimeoutMs ?? 600_000,
      onBroken: (code, reason) => options.onRefused?.(code, reason, tunnel.fingerprint),
      onGone: () => open.delete(tunnel),
    });
  }

  return {
    handle: (stream, headers) => {
      const certificate = fingerprintOf(headers['client-cert']);
      const refused = (refusal: Refusal) => {
        options.onRefused?.(refusal.code, refusal.reason, certificate);
        refuse(stream, refusal);
      };
      stream.on('error', (error) => options.onRefused?.('ERR_TUNNEL_BROKEN', messageOf(error), certificate));
      start(stream, headers).then(
        (refusal) => {
          if (refusal) refused(refusal);
        },
        (error) => refused({ status: 503, code: 'ERR_TUNNEL_UNDECIDED', reason: messageOf(error) }),
      );
    },
    get open() {
      return open.size;
    },
    get opened() {
      return opened;
    },
    get cut() {
      return watch.cut;
    },
    drain: async (graceMs) => {
      draining = true;
      const left = await untilEnded(open, graceMs);
      watch.end();
      return left;
    },
  };
}

/** What a CONNECT asks for, or why it is no valid one. */
function wantedBy(headers: IncomingHttpHeaders): Pick<OpenTunnel, 'fingerprint' | 'target'> | Refusal {
  const fingerprint = fingerprintOf(headers['client-cert']);
  if (fingerprint === null) return { status: 400, code: 'ERR_TUNNEL_CERTIFICATE', reason: 'no device certificate' };
  const target = tunnelTargetOf(String(headers[':authority'] ?? ''));
  if (target === null) return { status: 400, code: 'ERR_TUNNEL_TARGET', reason: 'the target is not host:port' };
  return { fingerprint, target };
}

/** Waits for the tunnels that are open now, and cuts all that are after `graceMs`; returns how many these were. */
async function untilEnded(open: ReadonlySet<OpenTunnel>, graceMs: number): Promise<number> {
  let left = 0;
  const late = setTimeout(() => {
    left = open.size;
    for (const { stream, socket } of open) {
      breakOff(stream, 'the connection service is stopping');
      socket.destroy();
    }
  }, graceMs);
  await Promise.all([...open].map(({ socket }) => closed(socket)));
  clearTimeout(late);
  return left;
}

function refusalOfDevice(authorization: TunnelAuthorization | undefined): RuleRefusal | null {
  switch (authorization) {
    case 'allowed':
    case 'suspended':
      return null;
    case 'not-served':
      return { code: 'ERR_TUNNEL_NOT_SERVED', reason: 'this connection service does not serve the device' };
    case 'unknown-device':
    case undefined:
      return { code: 'ERR_UNKNOWN_DEVICE', reason: 'no active device of the domain has this certificate' };
    default:
      return assertNever(authorization);
  }
}

/**
 * The refusal it would get now; the dialled address stays fixed, whatever its name resolves to meanwhile. If the
 * account was moved, the rule of the services that now serve it applies: a move takes no device offline.
 */
function refusalOfOpen({ fingerprint, target, address }: OpenTunnel, rights: TunnelRights): RuleRefusal | null {
  const elsewhere = rights.elsewhere.get(fingerprint);
  const rule = elsewhere ? { ...rights.rule, hosts: elsewhere } : rights.rule;
  return (
    (elsewhere ? null : refusalOfDevice(rights.authorizations.get(fingerprint))) ??
    refusalOfTarget(target, rule) ??
    refusalOfAddress(target, address, rule)
  );
}

/** A connection to the first address that answers, of those that the rule allows. */
async function dialAllowed(
  target: TunnelTarget,
  rule: TunnelRule,
  stream: ServerHttp2Stream,
  resolve: () => ReturnType<NameLookups>,
  deadline: AbortSignal,
): Promise<{ address: string; socket: Socket } | Refusal> {
  const addresses = await resolved(target, resolve, deadline);
  if (typeof addresses === 'string') return { status: 502, code: 'ERR_TUNNEL_UPSTREAM', reason: addresses };
  const judged = addresses.map((address) => ({ address, refused: refusalOfAddress(target, address, rule) }));
  const allowed = judged.filter(({ refused }) => refused === null).map(({ address }) => address);
  const [first] = judged;
  if (allowed.length === 0 && first?.refused) return { status: 403, ...first.refused };
  const dialled = await dialFirst(allowed, target.port, stream, deadline);
  return typeof dialled === 'string' ? { status: 502, code: 'ERR_TUNNEL_UPSTREAM', reason: dialled } : dialled;
}

/** Every address of the target, or why there is none. */
async function resolved(
  { host }: TunnelTarget,
  resolve: () => ReturnType<NameLookups>,
  deadline: AbortSignal,
): Promise<readonly string[] | string> {
  if (isIP(host) !== 0) return [host];
  try {
    const found = await resolve();
    return found.length === 0 ? 'its name has no address' : found.map(({ address }) => address);
  } catch (error) {
    return deadline.aborted ? 'its name could not be resolved in time' : messageOf(error);
  }
}

/** Lower-case hex SHA-256 of the certificate in a `Client-Cert` header; null when there is none. */
function fingerprintOf(header: string | string[] | undefined): string | null {
  const base64 = typeof header === 'string' ? /^:([A-Za-z0-9+/]+={0,2}):$/.exec(header)?.[1] : undefined;
  return base64 === undefined ? null : createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex');
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
  });
}

function refuse(stream: ServerHttp2Stream, refusal: Refusal): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({
    ':status': refusal.status,
    'content-type': 'application/json',
    'bramble-code': refusal.code,
    // The router passes it on, with a body of its own.
    'bramble-reason': refusal.reason.replace(/[^\x20-\x7e]/g, '?').slice(0, 300),
  });
  stream.end(JSON.stringify({ code: refusal.code, message: refusal.reason }));
}
