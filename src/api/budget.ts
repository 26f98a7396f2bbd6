/** The budget: how many deliveries may be with devices at the same time, and how many may be released in a minute. */
import * as z from 'zod';

const slots = z.number().int().min(1).max(10_000);
const rate = z.number().int().min(1).max(1_000_000);

/**
 * The setting 'budget', and the form of a request that changes it. The defaults are those that administrators of the
 * original know.
 */
export const budgetSchema = z.object({
  /** Deliveries with devices at the same time, per instance. */
  perInstance: slots.default(30),
  /** The same for the whole domain, over instances of all releases. */
  perDomain: slots.default(60),
  /** Devices that took a delivery and fell silent: the cap. */
  suspects: slots.default(20),
  perMinuteInstance: rate.default(100),
  perMinuteDomain: rate.default(300),
  /** Silence after which a handed-out delivery becomes a suspect. */
  suspectAfterSeconds: z.number().min(1).max(86_400).default(60),
});
export type Budget = z.output<typeof budgetSchema>;

const part = budgetSchema.shape;
/** What an administrator changes, for good or during an upgrade; the rest stays as it is. */
export const budgetChangeSchema = z.object({
  perInstance: part.perInstance.unwrap().optional(),
  perDomain: part.perDomain.unwrap().optional(),
  suspects: part.suspects.unwrap().optional(),
  perMinuteInstance: part.perMinuteInstance.unwrap().optional(),
  perMinuteDomain: part.perMinuteDomain.unwrap().optional(),
  suspectAfterSeconds: part.suspectAfterSeconds.unwrap().optional(),
});

/** In answers. Another release may have other bounds. */
export const shownBudget = z.object({
  perInstance: z.number(),
  perDomain: z.number(),
  suspects: z.number(),
  perMinuteInstance: z.number(),
  perMinuteDomain: z.number(),
  suspectAfterSeconds: z.number(),
});
