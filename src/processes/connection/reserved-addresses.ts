/**
 * Addresses that a tunnel reaches only when a pattern names them as such: the connection service's own machine or link,
 * unassigned ranges, cloud metadata services, and forms that embed another address.
 *
 * @see RFC 6890 (special-purpose addresses), RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo)
 */
import { type IpNetwork, ipNetworkOf, liesWithin } from '../../instances/ip-network.ts';

interface ReservedRange {
  /** In words, for people. */
  what: string;
  network: IpNetwork;
}

// The first range that contains an address names it: narrower ranges come before wider ones.
const ranges: readonly ReservedRange[] = [
  range("a cloud's metadata service", '169.254.169.254', 32),
  range("a cloud's metadata service", '169.254.170.2', 32),
  range("a cloud's metadata service", '168.63.129.16', 32),
  range("a cloud's metadata service", '100.100.100.200', 32),
  range("a cloud's metadata service", '192.0.0.192', 32),
  range("a cloud's metadata service", 'fd00:ec2::254', 128),
  range("a cloud's metadata service", 'fd20:ce::254', 128),
  range('unspecified', '0.0.0.0', 8),
  range('loopback', '127.0.0.0', 8),
  range('link-local', '169.254.0.0', 16),
  range('multicast', '224.0.0.0', 4),
  range('reserved', '240.0.0.0', 4),
  range('unspecified', '::', 128),
  range('loopback', '::1', 128),
  range('link-local', 'fe80::', 10),
  range('multicast', 'ff00::', 8),
  range('an IPv4 address in IPv6', '::ffff:0:0', 96),
  range('an IPv4 address in IPv6', '::', 96),
  range('an IPv4 address in IPv6 (NAT64)', '64:ff9b::', 96),
  range('an IPv4 address in IPv6 (NAT64)', '64:ff9b:1::', 48),
  range('an IPv4 address in IPv6 (6to4)', '2002::', 16),
  range('an IPv4 address in IPv6 (Teredo)', '2001::', 32),
];

/** The range that holds the address, or null. */
export function reservedRangeOf(address: IpNetwork): ReservedRange | null {
  return ranges.find(({ network }) => liesWithin(address, network)) ?? null;
}

function range(what: string, address: string, bits: number): ReservedRange {
  const network = ipNetworkOf(address, bits);
  if (network === null) throw new TypeError(`${address}/${bits} is not a network`);
  return { what, network };
}
