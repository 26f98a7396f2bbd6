/** Which answers show the router that a request came from the device it names. */
import type { DeviceAddress } from '../../platforms/protocol.ts';

/**
 * Whether an instance's answer shows that the sender is the enrolment that the address names. Command fetches and
 * check-ins are answered 2xx only after the identity was verified by signature or certificate; elsewhere anyone can get
 * a 200.
 */
export function provesIdentity(address: DeviceAddress, status: number): boolean {
  return isJudged(address) && status >= 200 && status < 300;
}

/** Whether requests there are answered only to a device that proved its identity. */
export function isJudged({ rule: { purpose } }: DeviceAddress): boolean {
  return purpose === 'commands' || purpose === 'announcements';
}
