/**
 * The internal hosts that a connection service opens tunnels to, as a pure rule. Nothing is allowed that is not listed:
 * the pattern is `host:port`, where the host may begin with `*.` and the port may be `*`.
 */
import { BrambleError } from '../base/errors.ts';

const pattern = /^(\*\.)?([a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]):(\*|[1-9]\d{0,4})$/;

/**
 * The stored, lower-case form of a pattern.
 * @throws BrambleError ERR_ALLOWED_HOST
 */
export function allowedHostOf(text: string): string {
  const host = text.trim().toLowerCase();
  const port = pattern.exec(host)?.[4];
  if (port === undefined || host.length > 260 || (port !== '*' && Number(port) > 65535)) {
    throw new BrambleError(
      'ERR_ALLOWED_HOST',
      `"${text.slice(0, 80)}" is not a host and port such as mail.example.org:993, *.example.org:443 or build.example.org:*.`,
    );
  }
  return host;
}

/** Whether one of the patterns covers an authority `host:port`, as a CONNECT request names it. */
export function isAllowedHost(patterns: readonly string[], authority: string): boolean {
  const asked = split(authority.toLowerCase());
  return (
    asked !== undefined &&
    patterns.some((text) => {
      const allowed = split(text);
      if (allowed === undefined) return false;
      const hostFits = allowed.host.startsWith('*.')
        ? asked.host.endsWith(allowed.host.slice(1)) && asked.host.length > allowed.host.length - 1
        : asked.host === allowed.host;
      return hostFits && (allowed.port === '*' || allowed.port === asked.port);
    })
  );
}

function split(authority: string): { host: string; port: string } | undefined {
  const at = authority.lastIndexOf(':');
  return at <= 0 ? undefined : { host: authority.slice(0, at), port: authority.slice(at + 1) };
}
