/**
 * The name or address under which devices know a domain. They keep it for ever, so an unusable one is refused before
 * the domain is created.
 */
import { isIP, isIPv6 } from 'node:net';
import { BrambleError } from '../base/errors.ts';

/** A label of a host name (RFC 1123 §2.1). */
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The one spelling of a host: a name in lower case, an IPv4 address, or an IPv6 address without brackets.
 * @throws BrambleError ERR_PUBLIC_HOST that says what is wrong with it
 */
export function publicHostOf(typed: string): string {
  const text = typed.trim().toLowerCase();
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (isIP(bare) !== 0 && !(text !== bare && !isIPv6(bare)))
    return isUsableAddress(bare) ? bare : refuse(typed, unusable);
  if (text.includes('://')) return refuse(typed, 'give only the host, without https:// and without a path');
  if (/^\[.*\]:\d+$|^[^:]+:\d*$/.test(text)) return refuse(typed, 'give only the host; the port is set separately');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what is not ASCII is looked for
  if (/[^\x00-\x7f]/.test(text)) return refuse(typed, 'write an internationalized name in its ASCII form (xn--…)');
  const labels = text.split('.');
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? ''))
    return refuse(typed, 'an IPv4 address has four numbers from 0 to 255');
  if (text.length > 253 || !labels.every((part) => label.test(part))) {
    return refuse(
      typed,
      'a name has letters, digits and hyphens, in parts of 1 to 63 characters with dots between them',
    );
  }
  return text;
}

/** The host as written in a URL. */
export function hostInUrl(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

const unusable = 'no device can connect to this address';

function isUsableAddress(address: string): boolean {
  return !/^0\.|^(?:22[4-9]|23\d|24\d|25[0-5])\.|^::$|^ff|%/.test(address);
}

function refuse(typed: string, why: string): never {
  throw new BrambleError(
    'ERR_PUBLIC_HOST',
    `"${typed.slice(0, 260)}" cannot be the public host of a domain: ${why}. For example: mdm.example.org, 192.0.2.7, 2001:db8::7.`,
    { details: { host: typed.slice(0, 260) } },
  );
}
