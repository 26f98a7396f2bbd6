/**
 * Which device a request is from, which way it came, and what is worth noting about that.
 *
 * A captured signature covers its body for ever, and cannot be refused (clients send no signing time, and RSA
 * signatures repeat), so use of TLS is noted until it can be required; repeats without it are counted; and a clock that is
 * far off is reported. Invariant: none of this keeps a device from being served here.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import type { DeviceId } from '../../base/ids.ts';
import type { DeviceProtocol, ProvenIdentity } from '../../platforms/protocol.ts';
import type { CertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import type { DeviceNotices } from './device-notices.ts';
import type { IdentityUse } from './identity-use.ts';
import type { DeviceRequest } from './request-body.ts';

/** Over the link of a router; from a proxy on this host that is trusted; or from anybody on this host. */
export type RequestWay = 'link' | 'proxy' | 'loopback';

/** Where the device is, as the router says it; and else whoever is connected. */
export function remoteAddressOf(request: DeviceRequest, way: RequestWay): string {
  const told = way === 'link' ? request.headers['bramble-remote-address'] : undefined;
  return typeof told === 'string' ? told : (request.socket.remoteAddress ?? '');
}

export interface Proven extends Pick<ProvenIdentity, 'fingerprint' | 'signature' | 'otherInTls' | 'certificateDer'> {
  /** Whether the certificate was shown in TLS. */
  shownInTls: boolean;
  /** Whether no more can be asked for: it was, or a trusted proxy ended TLS, which may not be able to. */
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

/** Of a device that was identified; `repeats` where the message is the same again by nature, as that of an idle device is. */
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
