/**
 * What a runner of account moves has to do with deliveries. Invariant: each moved account owes its devices all items, in
 * the move's own transaction, and moves go on only as fast as the domain's budget lets devices answer.
 */
import type { Queryable } from '../database/connection.ts';
import type { Platforms } from '../platforms/port.ts';
import { readBudget } from './budget.ts';
import { announceDeliveries, oweDeliveries } from './owe-deliveries.ts';

export const moveDeliveries = (platforms: Platforms) => ({
  oweDeliveries: async (tx: Queryable, move: { readonly accountId: string; readonly moveId: string }) =>
    await oweDeliveries(tx, platforms, {
      accountIds: [move.accountId],
      cause: 'move',
      moveId: move.moveId,
      budgeted: true,
    }),
  announce: announceDeliveries,
  drainWindow: async (q: Queryable): Promise<number> => (await readBudget(q)).perDomain,
});
