/**
 * Which internal hosts a connection service opens tunnels to, as a pure rule: only those listed.
 *
 * Patterns: `intranet.example:443`, `*.corp.example:*` (any name below, not the name itself), `10.1.2.0/24:8080`,
 * `[fd00::]/8:443`. A network pattern covers literal addresses alone: a name is never resolved to decide whether it is
 * listed. What a listed name resolves to is judged separately (`processes/connection/tunnel-rule.ts`).
 *
 * Invariant: an authority that does not parse strictly is not allowed, and IPv6 forms that embed an IPv4 address are
 * not equal to that address.
 */
import { isIP, isIPv6 } from 'node:net';
import { BrambleError } from '../base/errors.ts';
import { type IpNetwork, ipNetworkOf, liesWithin } from './ip-network.ts';

export interface TunnelTarget {
  /** Lower-case name, or an address without brackets. */
  host: string;
  port: number;
}

export interface AllowedHosts {
  /** Whether a pattern lists the target as the device named it: a name by its name, an address by its address. */
  covers(target: TunnelTarget): boolean;
  /** Whether a pattern that is itself an address, or a network, within `range` lists the address. */
  namesWithin(address: IpNetwork, port: number, range: IpNetwork): boolean;
  /** Whether a pattern is exactly this address and this port. */
  namesExactly(address: IpNetwork, port: number): boolean;
}

const authorityPattern = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]+):([1-9]\d{0,4})$/;
const hostPattern = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/;

/** Host and port of a CONNECT's authority (`host:port`, `[v6]:port`); null when it is neither. */
export function tunnelTargetOf(authority: string): TunnelTarget | null {
  const [, bracketed, digits] = authorityPattern.exec(authority.toLowerCase()) ?? [];
  const port = Number(digits);
  if (bracketed === undefined || port > 65535) return null;
  const host = bracketed.startsWith('[') ? bracketed.slice(1, -1) : bracketed.replace(/\.$/, '');
  if (bracketed.startsWith('[') ? !isIPv6(host) : host === '') return null;
  // Forms such as 0x7f.1 or 2130706433, which the system would accept as an address, are not names.
  const numeric = /^(?:0x[0-9a-f]+|\d+)$/.test(host.split('.').at(-1) ?? '');
  return numeric && isIP(host) === 0 ? null : { host, port };
}

/**
 * The rule for a list of patterns.
 * @throws BrambleError ERR_TUNNEL_HOST_PATTERN that names the invalid pattern.
 */
export function allowedHosts(patterns: readonly string[]): AllowedHosts {
  const read = patterns.map(patternOf);
  const listing = (address: IpNetwork, port: number) =>
    read.filter(({ network, ...rule }) => network && fitsPort(rule, port) && liesWithin(address, network));
  return {
    covers: ({ host, port }) => {
      const address = ipNetworkOf(host);
      if (address !== null) return listing(address, port).length > 0;
      return isIP(host) === 0 && read.some((rule) => fitsPort(rule, port) && rule.coversName(host));
    },
    namesWithin: (address, port, range) =>
      listing(address, port).some(({ network }) => network !== null && liesWithin(network, range)),
    namesExactly: (address, port) =>
      listing(address, port).some((rule) => rule.port === port && rule.network?.bits === address.bits),
  };
}

/**
 * The stored, lower-case form of a pattern.
 * @throws BrambleError ERR_ALLOWED_HOST when it is none.
 */
export function allowedHostOf(text: string): string {
  const pattern = text.trim().toLowerCase();
  try {
    patternOf(pattern);
  } catch (cause) {
    throw new BrambleError(
      'ERR_ALLOWED_HOST',
      `"${text.slice(0, 80)}" is not a host and port such as mail.example.org:993, *.example.org:443, 10.1.2.0/24:8080 or ` +
        'build.example.org:*.',
      { cause },
    );
  }
  return pattern;
}

function fitsPort({ port }: Pick<Pattern, 'port'>, asked: number): boolean {
  return port === null || port === asked;
}

/** One parsed pattern. */
interface Pattern {
  /** Null for any. */
  port: number | null;
  /** Of a pattern that is an address or a network. */
  network: IpNetwork | null;
  coversName: (name: string) => boolean;
}

function patternOf(pattern: string): Pattern {
  const text = pattern.trim().toLowerCase();
  const at = text.lastIndexOf(':');
  const digits = text.slice(at + 1);
  const host = text.slice(0, Math.max(at, 0));
  if (digits !== '*' && !(/^[1-9]\d{0,4}$/.test(digits) && Number(digits) <= 65535)) throw patternError(pattern);
  const port = digits === '*' ? null : Number(digits);

  const [address = '', prefix, ...more] = host.split('/');
  const bare = address.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) !== 0) {
    const fits = more.length === 0 && (prefix === undefined || /^\d{1,3}$/.test(prefix));
    const network = fits ? ipNetworkOf(bare, prefix === undefined ? undefined : Number(prefix)) : null;
    if (network === null) throw patternError(pattern);
    return { port, network, coversName: () => false };
  }
  if (prefix !== undefined || !hostPattern.test(host)) throw patternError(pattern);
  const suffix = host.startsWith('*.') ? host.slice(1) : null;
  return { port, network: null, coversName: (name) => (suffix ? name.endsWith(suffix) : name === host) };
}

function patternError(pattern: string): BrambleError {
  return new BrambleError(
    'ERR_TUNNEL_HOST_PATTERN',
    `"${pattern.slice(0, 80)}" is not a host pattern: use host:port, *.domain:port or network/bits:port; the port may be *.`,
    { details: { pattern: pattern.slice(0, 80) } },
  );
}
