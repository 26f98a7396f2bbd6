/** Paces of the policy service: setting 'delivery', read again every second, so that a change needs no restart. */
import * as z from 'zod';

const seconds = (most: number) => z.number().min(0.05).max(most);

export const deliverySettingsSchema = z.object({
  /** Wakes that one instance sends in a second, at most. */
  wakesPerSecond: z.number().int().min(1).max(10_000).default(100),
  /** Least and most time between two wakes of a device that does not come; in between it doubles. */
  wakeAgainSeconds: seconds(3600).default(10),
  wakeAgainAtMostSeconds: seconds(86_400).default(1800),
  /** A device that came and found no free slot is woken again this much later, when there are free ones. */
  slotRetrySeconds: seconds(3600).default(1),
  /** A device that was released to is expected for so long; after that it counts as asleep and holds nobody up. */
  expectSeconds: seconds(3600).default(20),
  /** What a move owes is not released for so long after it, each account at its own time between this and `afterMoveAtMostSeconds`. */
  afterMoveSeconds: z.number().min(0).max(3600).default(0.3),
  afterMoveAtMostSeconds: z.number().min(0).max(3600).default(1.3),
  /** An IT policy that a device refused is sent again so much later. */
  redeliverAfterSeconds: seconds(8760 * 3600).default(1800),
  /** Commands that were answered so long ago are deleted. */
  trimCommandsAfterSeconds: seconds(366 * 86_400).default(7 * 86_400),
});
export type DeliverySettings = z.output<typeof deliverySettingsSchema>;
