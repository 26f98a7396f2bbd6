/** The unit by which clients are limited: all addresses that one customer can choose from. */
import { isIPv4 } from 'node:net';

/** Groups clients by address: the full address for IPv4, for IPv6 the /64 that one customer has. */
export function addressGroup(remoteAddress: string): string {
  const mapped = remoteAddress.replace(/^::ffff:/i, '');
  if (isIPv4(mapped)) return mapped;
  const [address = ''] = remoteAddress.toLowerCase().split('%');
  const [front = '', back] = address.split('::');
  const head = front === '' ? [] : front.split(':');
  const tail = back === undefined || back === '' ? [] : back.split(':');
  const zeros = back === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...Array.from({ length: zeros }, () => '0'), ...tail];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
