/**
 * Addresses and networks as numbers, so that one rule compares all spellings of an address.
 *
 * Invariant: an IPv4 address and the IPv6 forms that carry it (`::ffff:10.0.0.1`) are different addresses here. Code
 * that treats them as equal has to do so explicitly.
 */
import { isIPv4, isIPv6 } from 'node:net';

export interface IpNetwork {
  family: 4 | 6;
  first: bigint;
  /** Length of the prefix; 32 or 128 for one address. */
  bits: number;
}

/** The network of this prefix, or of this one address; null when invalid (zones included). */
export function ipNetworkOf(address: string, bits?: number): IpNetwork | null {
  if (isIPv4(address)) return networkOf(4, 32, numberOf(address.split('.').map(Number), 8n), bits);
  if (!isIPv6(address) || address.includes('%')) return null;
  // The standard's serialisation: hexadecimal only, at most one `::`.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groupsOf = (text: string) => text.split(':').filter((group) => group !== '');
  const before = groupsOf(head);
  const after = groupsOf(tail ?? '');
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  const groups = [...before, ...zeros, ...after].map((group) => Number.parseInt(group, 16));
  return networkOf(6, 128, numberOf(groups, 16n), bits);
}

/** Whether `outer` contains all of `inner`. */
export function liesWithin(inner: IpNetwork, outer: IpNetwork): boolean {
  if (inner.family !== outer.family || inner.bits < outer.bits) return false;
  const shift = BigInt((outer.family === 4 ? 32 : 128) - outer.bits);
  return inner.first >> shift === outer.first >> shift;
}

function networkOf(family: 4 | 6, length: number, first: bigint, bits = length): IpNetwork | null {
  return bits >= 0 && bits <= length ? { family, first, bits } : null;
}

function numberOf(groups: readonly number[], size: bigint): bigint {
  return groups.reduce((number, group) => (number << size) | BigInt(group), 0n);
}
