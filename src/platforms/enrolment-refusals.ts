/** The answers to refused enrolments. Invariant: router and instance give the same, so that neither reveals which accounts exist. */
import type { ErrorCode } from '../base/error-codes.ts';

interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

/** The one answer to every refused activation: 400. */
export const activationRefusal = {
  code: 'ERR_ACTIVATION_REFUSED',
  message:
    'The account name or the activation password is wrong, or the password has expired or was tried too often. ' +
    'Ask the administrator for a new activation password.',
} as const satisfies Refusal;

/** To another method than POST: 405. */
export const activationMethodRefusal = {
  code: 'ERR_METHOD',
  message: 'Send the account and the password with POST.',
} as const satisfies Refusal;

/** As the check on `device.platform` has it. */
export const maxPlatformNameLength = 32;

/** To a platform that this release does not have: 400, whatever the account. Repeats as much as could be a name. */
export function platformRefusal(platform: string): Refusal {
  const name = platform.length > maxPlatformNameLength ? `${platform.slice(0, maxPlatformNameLength)}…` : platform;
  return { code: 'ERR_INPUT', message: `There is no platform "${name}" in this release.` };
}
