/** The budget, and every delivery with the reason why it waits. */
import * as z from 'zod';
import { budgetChangeSchema, shownBudget } from './budget.ts';
import type { Operations } from './operation.ts';
import { next, pageQuery } from './paging.ts';
import { instant, listLimit } from './shapes.ts';

/** The filter; `open` is everything that is not settled. */
export const askedDeliveryStates = [
  'open',
  'owed',
  'released',
  'handed-out',
  'suspect',
  'done',
  'failed',
  'superseded',
] as const;
export type AskedDeliveryState = (typeof askedDeliveryStates)[number];

const delivery = z.object({
  id: z.string(),
  account: z.string(),
  deviceId: z.string(),
  /** Null if the device did not report one. */
  deviceModel: z.string().nullable().default(null),
  item: z.string(),
  cause: z.string(),
  budgeted: z.boolean(),
  state: z.string(),
  /** While open, the owner of the account; afterwards the instance that released it, if any. */
  instance: z.string().nullable(),
  owedAt: instant,
  releasedAt: instant.nullable(),
  handedOutAt: instant.nullable(),
  settledAt: instant.nullable(),
  failure: z.string().nullable(),
  /** Null when it is settled. */
  waitingFor: z.string().nullable(),
});
export type ListedDelivery = z.output<typeof delivery>;
const tag = 'deliveries';

export const deliveryOperations = {
  showBudget: {
    revised: true,
    right: 'deliveries.read',
    scope: 'common',
    ...{ method: 'GET', path: '/budget', tag, summary: 'The budget of deliveries' },
    answer: shownBudget,
  },
  changeBudget: {
    revised: true,
    right: 'deliveries.write',
    ...{
      method: 'PUT',
      path: '/budget',
      tag,
      summary: 'Change the budget; values that are not given stay as they are',
    },
    // Others are refused with the list of those that exist.
    body: budgetChangeSchema.loose(),
    answer: shownBudget,
  },
  list: {
    right: 'deliveries.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/deliveries', tag },
    summary: 'Deliveries, oldest first, each with what it is waiting for',
    query: z.object({
      state: z.enum(askedDeliveryStates).default('open').describe('`open` means all that are not settled.'),
      ...pageQuery(['owedAt'], listLimit(1000).default(200)),
    }),
    answer: z.object({ deliveries: z.array(delivery), next }),
  },
} as const satisfies Operations;
