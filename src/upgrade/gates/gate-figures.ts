/** The input of a gate: the shape of the figures, read by `gate-samples.ts`, judged by `gate.ts`. */
import * as z from 'zod';

const count = z.number().int().nonnegative().finite();
/** `src/base/latency-histogram.ts`: counts by bin. */
const histogram = z.array(count).max(64);

const stretchSchema = z.object({
  requests: count,
  /** Answered 5xx, or not at all. */
  failed: count,
  latency: histogram,
});

/** Weighted figures are no whole numbers. */
const baselineSchema = z.object({
  requests: z.number().nonnegative().finite(),
  failed: z.number().nonnegative().finite(),
  latency: histogram,
});

export const gateFiguresSchema = z.object({
  /** Who measured: routers, where the devices stand; or, as long as no router reports, the instances themselves. */
  source: z.enum(['routers', 'instances']),
  /** Requests of the moved accounts at their new instances, in the order of time; the move's own and the warm-up left out. */
  moved: z.array(stretchSchema),
  /**
   * How many accounts the wave has whose devices came in the window or in the hours before their move; how many were heard in
   * the window, and the first names of the others. `away` are those of whom nobody came in all that time.
   */
  accounts: z.object({ all: count, heard: count, unheard: z.array(z.string()), away: count }),
  /** The account with most of those requests. */
  busiest: z.object({ name: z.string(), requests: count, failed: count }),
  /** The moved accounts before their move, each with the weight that it has among the requests of now. */
  before: baselineSchema,
  /** Latencies of that past as the instances told them of themselves; only where routers know too little of it. */
  beforeByInstances: histogram,
  /** Accounts not yet moved, in the window; null when there are none left. */
  unmoved: baselineSchema.nullable(),
  /** Devices by what became of the deliveries of their move. */
  deliveries: z.object({
    done: count,
    failed: count,
    /** Took one, and have not answered it for as long as the budget waits for. */
    silent: count,
    /** Have come since the move and not taken it, or only just. */
    open: count,
    /** Have not connected since the move, though they did in an equally long time before it. */
    missing: count,
    /** Did not come then either, or put its command off. */
    excused: count,
  }),
  /** Of devices of accounts not moved, the same: how many came in either time, and how many only in the first. */
  usuallyMissing: z.object({ requests: count, bad: count }),
  /** Unasked ends and lost leases of the new instances since accounts are there; one that is away for long counts again. */
  interruptions: z.array(z.object({ name: z.string(), cause: z.string() })),
  /** Requests of the moved accounts that do not count, and why. */
  leftOut: z.object({ requests: count, warmUpSeconds: z.number().nonnegative() }),
  /** How long the window is by now. */
  seconds: z.number().nonnegative().finite(),
});
export type GateFigures = z.output<typeof gateFiguresSchema>;
export type Stretch = z.output<typeof stretchSchema>;
export type Baseline = z.output<typeof baselineSchema>;
