/** For tests only: headers as balancers write them. */
import { isIPv4 } from 'node:net';

const signatureHex = '0d0a0d0a000d0a515549540a';

/** A header of version 2 for a TCP connection; `fields` (TLV) follow the addresses. IPv6 is given with all its groups. */
export function proxyHeader(source: string, fields: Buffer = Buffer.alloc(0)): Buffer {
  const address = addressBytes(source);
  const rest = Buffer.concat([address, address, Buffer.from([0xc0, 0x00, 0x01, 0xbb]), fields]);
  return headerOf(0x21, isIPv4(source) ? 0x11 : 0x21, rest);
}

/** A header that says the balancer speaks for itself. */
export function localHeader(rest: Buffer = Buffer.alloc(0)): Buffer {
  return headerOf(0x20, 0x00, rest);
}

export function headerOf(versionAndCommand: number, familyAndProtocol: number, rest: Buffer): Buffer {
  const fixed = Buffer.alloc(4);
  fixed.writeUInt8(versionAndCommand, 0);
  fixed.writeUInt8(familyAndProtocol, 1);
  fixed.writeUInt16BE(rest.length, 2);
  return Buffer.concat([Buffer.from(signatureHex, 'hex'), fixed, rest]);
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const bytes = Buffer.alloc(16);
  address.split(':').forEach((group, at) => {
    bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * at);
  });
  return bytes;
}
