/**
 * The header by which a balancer tells whose connection it passes on: PROXY protocol, version 2.
 *
 * Invariant: it is read only once it is whole, and refused at the first byte that cannot be part of one; so no sender
 * keeps more than `maxHeaderBytes`, and no byte behind the header is taken for a part of it.
 *
 * @see https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt §2.2
 */
import { SocketAddress } from 'node:net';

type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | {
      readonly kind: 'whole';
      /** What follows is the connection's own. */
      readonly sizeBytes: number;
      /** The client's address; null when the balancer speaks for itself, as in a health check. */
      readonly source: string | null;
    }
  | { readonly kind: 'refused'; readonly reason: string };

/** Balancers add names, certificates’ subjects and identifiers of their own behind the addresses: a few hundred bytes. */
export const maxHeaderBytes = 4096;

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const textSignature = Buffer.from('PROXY ', 'latin1');
const fixedBytes = 16;
const local = 0x20;
const proxied = 0x21;
const families = new Map([
  [0x11, { name: 'ipv4', addressBytes: 4 }],
  [0x21, { name: 'ipv6', addressBytes: 16 }],
] as const);
const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex');

/** Reads the header at the start of `bytes`; fields behind the addresses (TLV) are skipped. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  const seen = Math.min(bytes.length, signature.length);
  if (!bytes.subarray(0, seen).equals(signature.subarray(0, seen))) return refused(reasonOfOther(bytes));
  const versionAndCommand = bytes[12];
  if (versionAndCommand !== undefined && versionAndCommand !== local && versionAndCommand !== proxied) {
    return refused(`version and command are ${hex(versionAndCommand)}, which is not of version 2`);
  }
  if (bytes.length < fixedBytes) return { kind: 'incomplete' };
  const familyAndProtocol = bytes.readUInt8(13);
  const restBytes = bytes.readUInt16BE(14);
  const sizeBytes = fixedBytes + restBytes;
  if (sizeBytes > maxHeaderBytes) return refused(`it has ${sizeBytes} bytes, more than ${maxHeaderBytes}`);
  if (versionAndCommand === local) {
    return bytes.length < sizeBytes ? { kind: 'incomplete' } : { kind: 'whole', sizeBytes, source: null };
  }
  const family = families.get(familyAndProtocol as 0x11 | 0x21);
  if (!family) return refused(`it tells no TCP address (family and protocol are ${hex(familyAndProtocol)})`);
  if (restBytes < 2 * family.addressBytes + 4) return refused('it is too short for its addresses');
  if (bytes.length < sizeBytes) return { kind: 'incomplete' };
  const address = bytes.subarray(fixedBytes, fixedBytes + family.addressBytes);
  return { kind: 'whole', sizeBytes, source: addressText(address) };
}

function refused(reason: string): ProxyHeader {
  return { kind: 'refused', reason };
}

function reasonOfOther(bytes: Buffer): string {
  const seen = Math.min(bytes.length, textSignature.length);
  return bytes.subarray(0, seen).equals(textSignature.subarray(0, seen))
    ? 'it is of version 1; have the balancer send version 2'
    : 'the connection does not begin with one';
}

/** An IPv4 address inside IPv6 is told as IPv4: it is the same client. */
function addressText(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  if (address.subarray(0, 12).equals(mappedPrefix)) return address.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, at) => address.readUInt16BE(2 * at).toString(16));
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
