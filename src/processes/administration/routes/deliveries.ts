/** The budget, and every delivery with the reason why it waits. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { budgetSchema } from '../../../api/budget.ts';
import { deliveryOperations } from '../../../api/deliveries.ts';
import { issueError } from '../../../base/field-error.ts';
import { readBudget, writeBudget } from '../../../deliveries/budget.ts';
import { listDeliveries } from '../../../deliveries/delivery-list.ts';
import { recordEvent } from '../../../domain/events.ts';
import { listInstances } from '../../../instances/instances.ts';
import { answerEtag, refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

const budgetRow = { table: 'setting', key: 'budget' } as const;

export function deliveryRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, deliveryOperations.showBudget, async (_request, reply) => {
      await answerEtag(context.db, reply, budgetRow);
      return await readBudget(context.db);
    });

    serve(
      app,
      deliveryOperations.changeBudget,
      async (request) =>
        await write(context, async (tx) => {
          await refuseStale(tx, request, budgetRow);
          const wanted = budgetSchema.strict().safeParse({ ...(await readBudget(tx)), ...request.body });
          if (!wanted.success) {
            const known = `The budget has ${Object.keys(budgetSchema.shape).join(', ')}.`;
            throw issueError('body', wanted.error.issues[0], known);
          }
          const instances = (await listInstances(tx)).filter((instance) => instance.retiredAt === null);
          await writeBudget(
            tx,
            wanted.data,
            instances.map((instance) => instance.id),
          );
          await recordEvent(tx, {
            kind: 'budget-changed',
            message: `${request.administrator} changed the budget`,
            detail: wanted.data,
          });
          return wanted.data;
        }),
    );

    serve(app, deliveryOperations.list, async (request) => {
      const accounts = { within: actorOf(request).groups };
      return await listDeliveries(context.db, { ...request.query, accounts });
    });
  };
}
