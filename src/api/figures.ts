/** What the domain, its instances and its routers did in the last 30 days, for charts. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { instant } from './shapes.ts';

const count = z.number().nullable();
const point = z.object({
  at: instant.describe('The beginning of the step.'),
  connects: count.describe('Requests of devices that instances answered.'),
  errors: count.describe('Of these, answered with a failure.'),
  requests: count.describe('As routers saw them, of devices that had proven their identity.'),
  failed: count.describe('Of these.'),
  p50Ms: count,
  p95Ms: count,
  p99Ms: count.describe('Latency of those that did not fail.'),
  waiting: count.describe('Deliveries that are owed or released; the most in the step.'),
  inFlight: count.describe('Deliveries with devices; the most.'),
  suspects: count.describe('With devices that fell silent; the most.'),
  budget: count.describe('How many may be in flight.'),
});
export type FigurePoint = z.output<typeof point>;

/** Names of subjects are those of processes; `%` and blanks come in none. */
const subjectList = z.string().max(4000);

export const figureOperations = {
  show: {
    right: 'figures.read',
    ...{ method: 'GET', path: '/figures', tag: 'domain', summary: 'Figures by minute, kept for 30 days' },
    description:
      'Steps are of as many minutes as make at most 400 of them. A step without a row has no point; null is what a subject has none of. ' +
      'The last minute is there some 15 seconds after its end; what routers tell late is added within twelve minutes.',
    query: z.object({
      from: z.iso.datetime({ offset: true }).optional().describe('Default: an hour before `to`.'),
      to: z.iso.datetime({ offset: true }).optional().describe('Default: now.'),
      subjects: subjectList
        .optional()
        .describe('Of the answer’s subjects, up to 20 with commas between them; default `domain`.'),
    }),
    answer: z.object({
      stepMinutes: z.number(),
      subjects: z.array(z.string()).describe('That there are figures of: `domain`, `instance:NAME`, `router:NAME`.'),
      series: z.array(z.object({ subject: z.string(), points: z.array(point) })),
    }),
  },
} as const satisfies Operations;
