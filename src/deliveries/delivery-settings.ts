/** Timing of the policy service: setting 'delivery', reread every second, so that a change needs no restart. */
import * as z from 'zod';

const seconds = (most: number) => z.number().min(0.05).max(most);

export const deliverySettingsSchema = z.object({
  /** Maximum number of wakes per second and instance. */
  wakesPerSecond: z.number().int().min(1).max(10_000).default(100),
  /** Minimum and maximum time between two wakes of a device that does not connect; it doubles in between. */
  wakeAgainSeconds: seconds(3600).default(10),
  wakeAgainAtMostSeconds: seconds(86_400).default(1800),
  /** A device that connected and found no free slot is woken again after this, when slots are free. */
  slotRetrySeconds: seconds(3600).default(1),
  /** How long a device is expected after a release to it; after that it counts as asleep and holds nobody up. */
  expectSeconds: seconds(3600).default(20),
  /**
   * Deliveries of a move are held for this long after it, each account for a different time between this and
   * `afterMoveAtMostSeconds`.
   */
  afterMoveSeconds: z.number().min(0).max(3600).default(0.3),
  afterMoveAtMostSeconds: z.number().min(0).max(3600).default(1.3),
  /** An IT policy that a device refused is sent again after this. */
  redeliverAfterSeconds: seconds(8760 * 3600).default(1800),
  /** Answered commands are deleted after this. */
  trimCommandsAfterSeconds: seconds(366 * 86_400).default(7 * 86_400),
});
export type DeliverySettings = z.output<typeof deliverySettingsSchema>;
