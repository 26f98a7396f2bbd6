/**
 * The addresses that devices are served at, and how much a request at each may bring, as pure rules. Router and instance
 * share them: the router refuses before it reads, and the instance is reachable on loopback as well.
 *
 * Invariant: only these addresses ever reach an instance, so that nothing from outside can name a control path of the
 * link, whatever it is encoded as; and no address takes more than what is really sent there.
 */

export type DeviceAddressKind = 'checkin' | 'connect' | 'scep' | 'activate' | 'no-token' | 'other';

export interface DeviceAddress {
  /** `no-token` is shaped like a device's address, with something that is no token. */
  kind: DeviceAddressKind;
  /** Empty for `activate`, `no-token` and `other`. */
  token: string;
}

/** A form with a name and a password; a certificate request in its envelope; inventories and lists of profiles. */
const bodyBytes: Readonly<Record<DeviceAddressKind, number>> = {
  activate: 4 * 1024,
  scep: 64 * 1024,
  checkin: 1024 * 1024,
  connect: 1024 * 1024,
  'no-token': 0,
  other: 0,
};

/** A path with its query; the message of a SCEP request by GET has some 4 KB. */
export const urlBytesAtMost = 16 * 1024;

/** Bytes of a request's body at such an address, at most. */
export function bodyBytesAtMost(kind: DeviceAddressKind): number {
  return bodyBytes[kind];
}

/** Whether a declared length (`content-length`) already says that a body is larger than `atMost`. */
export function declaresMore(contentLength: string | undefined, atMost: number): boolean {
  return contentLength !== undefined && !(Number(contentLength) <= atMost);
}

export function bodyTooLargeText(kind: DeviceAddressKind): string {
  return `A request to this address may have a body of at most ${bodyBytes[kind]} bytes.`;
}

export const urlTooLargeText = `An address may have at most ${urlBytesAtMost} bytes including its query: send the message by POST.`;

const activation = /^\/activate(?:\?|$)/;
const ofDevice = /^\/(mdm|scep)\/([^/?]*)(?:\/(checkin|connect))?(?:\?|$)/;
const tokenPattern = /^[A-Za-z0-9_-]{43}$/;

/** @param url path and query, as in the request line or `:path`. */
export function deviceAddressOf(url: string): DeviceAddress {
  if (activation.test(url)) return { kind: 'activate', token: '' };
  const [, place, token = '', message] = ofDevice.exec(url) ?? [];
  const kind = place === 'scep' && message === undefined ? 'scep' : place === 'mdm' ? message : undefined;
  if (kind === undefined) return { kind: 'other', token: '' };
  return tokenPattern.test(token) ? { kind: kind as DeviceAddressKind, token } : { kind: 'no-token', token: '' };
}
