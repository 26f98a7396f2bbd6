/** Ranges of addresses as people write them: `192.0.2.7`, `10.1.0.0/16`, `2001:db8::/32`. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import * as z from 'zod';

export const addressRangeShape = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

interface AddressRanges {
  /** An IPv4 address counts as the same in its IPv6 form. */
  include(address: string): boolean;
}

/** @param ranges of `addressRangeShape` */
export function addressRanges(ranges: readonly string[]): AddressRanges {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/');
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return {
    include: (address) => {
      if (isIPv4(address)) return list.check(address, 'ipv4');
      return isIPv6(address) && list.check(address, 'ipv6');
    },
  };
}
