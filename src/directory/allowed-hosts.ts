/**
 * Which internal hosts a connection service opens tunnels to, as a pure rule: nothing that is not listed.
 *
 * Patterns: `intranet.example:443`, `*.corp.example:*` (any name below, not the name itself), `10.1.2.0/24:8080`,
 * `[fd00::]/8:443`. A network pattern covers literal addresses alone: a name is never resolved to decide.
 *
 * Invariant: an authority that does not parse strictly is not allowed.
 */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { BrambleError } from '../base/errors.ts';

export interface TunnelTarget {
  /** Lower-case name, or an address without brackets. */
  host: string;
  port: number;
}

export type AllowedHosts = (target: TunnelTarget) => boolean;

const authorityPattern = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]+):([1-9]\d{0,4})$/;
const hostPattern = /^(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/;

/** Host and port of a CONNECT's authority (`host:port`, `[v6]:port`); null when it is neither. */
export function tunnelTargetOf(authority: string): TunnelTarget | null {
  const [, bracketed, digits] = authorityPattern.exec(authority.toLowerCase()) ?? [];
  const port = Number(digits);
  if (bracketed === undefined || port > 65535) return null;
  const host = bracketed.startsWith('[') ? bracketed.slice(1, -1) : bracketed.replace(/\.$/, '');
  if (bracketed.startsWith('[') ? !isIPv6(host) : host === '') return null;
  // Forms such as 0x7f.1 or 2130706433, which the system would take for an address, are not names.
  const numeric = /^(?:0x[0-9a-f]+|\d+)$/.test(host.split('.').at(-1) ?? '');
  return numeric && isIP(host) === 0 ? null : { host, port };
}

/**
 * The rule that a list of patterns makes.
 * @throws BrambleError ERR_TUNNEL_HOST_PATTERN that names the pattern that is none.
 */
export function allowedHosts(patterns: readonly string[]): AllowedHosts {
  const rules = patterns.map(ruleOf);
  return (target) => rules.some((rule) => rule(target));
}

/**
 * The stored, lower-case form of a pattern.
 * @throws BrambleError ERR_ALLOWED_HOST when it is none.
 */
export function allowedHostOf(text: string): string {
  const pattern = text.trim().toLowerCase();
  try {
    ruleOf(pattern);
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

function ruleOf(pattern: string): AllowedHosts {
  const text = pattern.trim().toLowerCase();
  const at = text.lastIndexOf(':');
  const port = text.slice(at + 1);
  const host = text.slice(0, Math.max(at, 0));
  const fitsPort = (asked: number) => port === '*' || Number(port) === asked;
  if (port !== '*' && !(/^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65535)) throw patternError(pattern);

  const [address = '', prefix, ...more] = host.split('/');
  const bare = address.replace(/^\[(.*)\]$/, '$1');
  const family = isIP(bare);
  if (family !== 0) {
    const bits = family === 6 ? 128 : 32;
    const length = prefix === undefined ? bits : Number(prefix);
    if (more.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix)) || length > bits) {
      throw patternError(pattern);
    }
    const kind = family === 6 ? 'ipv6' : 'ipv4';
    const network = new BlockList();
    network.addSubnet(bare, length, kind);
    return (target) => {
      const asked = isIP(target.host);
      return fitsPort(target.port) && asked !== 0 && network.check(target.host, asked === 6 ? 'ipv6' : 'ipv4');
    };
  }
  if (prefix !== undefined || !hostPattern.test(host)) throw patternError(pattern);
  const suffix = host.startsWith('*.') ? host.slice(1) : null;
  return (target) =>
    fitsPort(target.port) && isIP(target.host) === 0 && (suffix ? target.host.endsWith(suffix) : target.host === host);
}

function patternError(pattern: string): BrambleError {
  return new BrambleError(
    'ERR_TUNNEL_HOST_PATTERN',
    `"${pattern.slice(0, 80)}" is not a host pattern: use host:port, *.domain:port or network/bits:port; the port may be *.`,
    { details: { pattern: pattern.slice(0, 80) } },
  );
}
