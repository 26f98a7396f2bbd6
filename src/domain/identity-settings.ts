/** How long device identities are valid, and how their renewal is tried again: setting 'device-identity', read when it is needed. */
import * as z from 'zod';

export const identitySettingsSchema = z.object({
  /** Of those that are issued from now on. Shorter than a month, a device that is away may miss all the tries of its renewal. */
  validDays: z.number().min(0.0001).max(825).default(365),
  /** A renewal that failed, or that brought an identity that is not used, is tried again after this; doubled with each try … */
  renewAgainSeconds: z.number().min(0.05).max(86_400).default(1800),
  /** … up to this. */
  renewAgainAtMostSeconds: z
    .number()
    .min(0.05)
    .max(30 * 86_400)
    .default(86_400),
});
export type IdentitySettings = z.output<typeof identitySettingsSchema>;

/** Before a try that came to nothing is followed by the next: the rule that stands in SQL in `deliveries/owe-renewals.ts` too. */
export function renewalRetrySeconds(settings: IdentitySettings, attempts: number): number {
  return Math.min(settings.renewAgainSeconds * 2 ** Math.min(attempts - 1, 30), settings.renewAgainAtMostSeconds);
}

/**
 * How long after a renewal the former identity still proves a TLS connection: as long as a tunnel or connection that it opened may
 * last. Without a limit, a leaked former key would stay a valid proof.
 */
export const formerIdentityHours = 12;
