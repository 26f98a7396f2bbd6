import type { DeviceAddress } from '../../link/device-address.ts';

/**
 * Whether an instance answered this as the enrolment that the address names. At check-in and connect nothing is answered 2xx
 * before the identity was held against signature or certificate; at SCEP and activation anybody can have a 200.
 */
export function provesIdentity(address: DeviceAddress, status: number): boolean {
  return isJudged(address) && status >= 200 && status < 300;
}

/** Whether what is sent there is answered to a device alone that proved who it is. */
export function isJudged({ kind }: DeviceAddress): boolean {
  return kind === 'connect' || kind === 'checkin';
}
