/** The input of a gate: the shape of the figures, read by `gate-samples.ts`, judged by `gate.ts`. */
import * as z from 'zod';

const count = z.number().int().nonnegative().finite();
/** `src/base/latency-histogram.ts`: counts by bin. */
const histogram = z.array(count).max(64);

const stretchSchema = z.object({
  requests: count,
  /** Answered with 5xx, or not at all. */
  failed: count,
  latency: histogram,
});

/** Weighted figures are not whole numbers. */
const baselineSchema = z.object({
  requests: z.number().nonnegative().finite(),
  failed: z.number().nonnegative().finite(),
  latency: histogram,
});

export const gateFiguresSchema = z.object({
  /** Who measured: routers, which are nearest to the devices; or, until a router reports, the instances themselves. */
  source: z.enum(['routers', 'instances']),
  /**
   * Requests of the moved accounts at their new instances, in order of time, without those of the move and the warm-up.
   */
  moved: z.array(stretchSchema),
  /**
   * Accounts of the wave whose devices connected in the window or in the hours before their move; how many of them were
   * heard in the window, and the first names of the others. `away`: accounts without any contact in all that time.
   */
  accounts: z.object({ all: count, heard: count, unheard: z.array(z.string()), away: count }),
  /** The account with the most of those requests. */
  busiest: z.object({ name: z.string(), requests: count, failed: count }),
  /** The moved accounts before their move, each weighted by its share of the present requests. */
  before: baselineSchema,
  /** Latencies of that past by the instances' own figures; only if routers know too little of it. */
  beforeByInstances: histogram,
  /** Accounts not yet moved, in the window; null when there are none left. */
  unmoved: baselineSchema.nullable(),
  /** Devices by what became of the deliveries of their move. */
  deliveries: z.object({
    done: count,
    failed: count,
    /** Took one, and have not answered it for as long as the budget waits. */
    silent: count,
    /** Have connected since the move without taking it, or have only just taken it. */
    open: count,
    /** Have not connected since the move, although they did in an equally long time before it. */
    missing: count,
    /** Did not connect then either, or postponed its command. */
    excused: count,
  }),
  /** The same for devices of accounts not moved: how many connected in either time, and how many only in the first. */
  usuallyMissing: z.object({ requests: count, bad: count }),
  /**
   * Unasked ends and lost leases of the new instances since they have accounts; one that is away for long counts again.
   */
  interruptions: z.array(z.object({ name: z.string(), cause: z.string() })),
  /** Requests of the moved accounts that do not count: those of the move itself and of the warm-up. */
  leftOut: z.object({ requests: count, warmUpSeconds: z.number().nonnegative() }),
  /** Length of the window so far. */
  seconds: z.number().nonnegative().finite(),
});
export type GateFigures = z.output<typeof gateFiguresSchema>;
export type Stretch = z.output<typeof stretchSchema>;
export type Baseline = z.output<typeof baselineSchema>;
