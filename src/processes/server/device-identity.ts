/**
 * Which device sent a request, by which route, and what is worth recording about it.
 *
 * A captured signature covers its body for ever, and cannot be refused (clients send no signing time, and RSA
 * signatures repeat), so use of TLS is recorded until it can be required; repeats without it are counted; and a clock
 * that is far off is reported. Invariant: none of this prevents a device from being served here.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import type { DeviceId } from '../../base/ids.ts';
import type { DeviceProtocol, ProvenIdentity } from '../../platforms/protocol.ts';
import type { CertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import type { DeviceNotices } from './device-notices.ts';
import type { IdentityUse } from './identity-use.ts';
import type { DeviceRequest } from './request-body.ts';

/** Over a router's link; from a trusted proxy on this host; or from anybody on this host. */
export type RequestWay = 'link' | 'proxy' | 'loopback';

/** The device's address as reported by the router, otherwise that of the connection's peer. */
export function remoteAddressOf(request: DeviceRequest, way: RequestWay): string {
  const told = way === 'link' ? request.headers['bramble-remote-address'] : undefined;
  return typeof told === 'string' ? told : (request.socket.remoteAddress ?? '');
}

export interface Proven extends Pick<ProvenIdentity, 'fingerprint' | 'signature' | 'otherInTls' | 'certificateDer'> {
  /** Whether the certificate was shown in TLS. */
  shownInTls: boolean;
  /**
   * Whether no more can be required: it was presented, or a trusted proxy, which may not support it, terminated TLS.
   */
  overTls: boolean;
  way: RequestWay;
}

/** @throws BrambleError as {@link DeviceProtocol.prove} */
export function proveIdentity(
  protocol: DeviceProtocol,
  request: DeviceRequest,
  body: Buffer,
  { way, keys }: { way: RequestWay; keys: CertificateKeys },
): Proven {
  const header = (name: string) => single(request.headers[name]);
  const clientCertHeader = way === 'loopback' ? undefined : header('client-cert');
  const { overTls: shownInTls, ...proven } = protocol.prove({ header, clientCertHeader, body }, keys);
  return { ...proven, shownInTls, overTls: shownInTls || way === 'proxy', way };
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

const clockMayDifferMs = 24 * 60 * 60 * 1000;

/** Of an identified device; `repeats` if the message is identical by nature, like that of an idle device. */
export function noteIdentity(
  parts: { clock: Clock; identityUse: IdentityUse; notices: DeviceNotices },
  deviceId: DeviceId,
  { shownInTls, signature, way }: Proven,
  repeats: boolean,
): void {
  if (shownInTls && way === 'link') parts.identityUse.usedTls(deviceId);
  if (signature === undefined) return;
  if (!shownInTls && !repeats) {
    parts.identityUse.signedOnly(deviceId, hash('sha256', signature.covered, 'buffer').subarray(0, 16));
  }
  const { signedAt } = signature;
  if (signedAt === undefined || Math.abs(parts.clock.now() - signedAt.getTime()) <= clockMayDifferMs) return;
  parts.notices.note(
    'device-clock-differs',
    deviceId,
    `A message of the device ${deviceId} was signed at ${signedAt.toISOString()} according to its clock, more than ` +
      'a day off. The device was served. Either its clock is wrong, or a captured message is being replayed.',
  );
}
