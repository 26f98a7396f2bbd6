import type { DeviceAddress } from '../../platforms/protocol.ts';

/**
 * Whether an instance answered this as the enrolment that the address names. Where commands are fetched and announcements are
 * made, nothing is answered 2xx before the identity was held against signature or certificate; elsewhere anybody can have a 200.
 */
export function provesIdentity(address: DeviceAddress, status: number): boolean {
  return isJudged(address) && status >= 200 && status < 300;
}

/** Whether what is sent there is answered to a device alone that proved who it is. */
export function isJudged({ rule: { purpose } }: DeviceAddress): boolean {
  return purpose === 'commands' || purpose === 'announcements';
}
