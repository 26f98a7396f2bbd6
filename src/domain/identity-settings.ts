/**
 * How long device identities are valid, and how their renewal is retried: setting 'device-identity', read when needed.
 */
import * as z from 'zod';

export const identitySettingsSchema = z.object({
  /** For newly issued ones. Below a month, an absent device may miss every attempt at its renewal. */
  validDays: z.number().min(0.0001).max(825).default(365),
  /** A renewal that failed, or whose identity was never used, is retried after this; doubled with each attempt …… */
  renewAgainSeconds: z.number().min(0.05).max(86_400).default(1800),
  /** … up to this. */
  renewAgainAtMostSeconds: z
    .number()
    .min(0.05)
    .max(30 * 86_400)
    .default(86_400),
});
export type IdentitySettings = z.output<typeof identitySettingsSchema>;

/** The delay after a failed attempt; the same rule is in SQL in `deliveries/owe-renewals.ts`. */
export function renewalRetrySeconds(settings: IdentitySettings, attempts: number): number {
  return Math.min(settings.renewAgainSeconds * 2 ** Math.min(attempts - 1, 30), settings.renewAgainAtMostSeconds);
}

/**
 * How long after a renewal the former identity still proves a TLS connection: as long as a tunnel or connection opened
 * with it may last. Without a limit, a leaked former key would stay a valid proof.
 */
export const formerIdentityHours = 12;
