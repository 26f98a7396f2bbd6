/** The budget, and every delivery with the reason why it waits. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { budgetSchema, readBudget, writeBudget } from '../../../deliveries/budget.ts';
import { deliveryStates } from '../../../deliveries/state/delivery-states.ts';
import { recordEvent } from '../../../domain/events.ts';
import { listInstances } from '../../../instances/instances.ts';
import { issueError } from '../../../rest/field-error.ts';
import { type AdministrationContext, write } from '../context.ts';
import { listDeliveries } from '../delivery-list.ts';
import { instant, jsonObject } from '../shapes.ts';

const budgetShape = z.object({
  perInstance: z.number(),
  perDomain: z.number(),
  suspects: z.number(),
  perMinuteInstance: z.number(),
  perMinuteDomain: z.number(),
  suspectAfterSeconds: z.number(),
});
const states = ['open', ...deliveryStates.states] as const;
const tags = ['deliveries'];

export function deliveryRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/budget',
      schema: { tags, summary: 'The budget of deliveries', response: { 200: budgetShape } },
      handler: async () => await readBudget(context.db),
    });

    app.route({
      method: 'PUT',
      url: '/budget',
      schema: {
        tags,
        summary: 'Change the budget; values that are not given stay as they are',
        body: jsonObject,
        response: { 200: budgetShape },
      },
      handler: async (request) =>
        await write(context, async (tx) => {
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
    });

    app.route({
      method: 'GET',
      url: '/deliveries',
      schema: {
        tags,
        summary: 'Deliveries, oldest first, each with what it is waiting for',
        querystring: z.object({
          state: z.enum(states).default('open').describe('`open` means all that are not settled.'),
          limit: z.coerce.number().int().min(1).max(1000).default(200),
        }),
        response: {
          200: z.object({
            deliveries: z.array(
              z.object({
                id: z.string(),
                account: z.string(),
                deviceId: z.string(),
                deviceModel: z.string().nullable(),
                item: z.string(),
                cause: z.string(),
                budgeted: z.boolean(),
                state: z.string(),
                instance: z.string().nullable(),
                owedAt: instant,
                releasedAt: instant.nullable(),
                handedOutAt: instant.nullable(),
                settledAt: instant.nullable(),
                failure: z.string().nullable(),
                waitingFor: z.string().nullable(),
              }),
            ),
          }),
        },
      },
      handler: async (request) => ({
        deliveries: await listDeliveries(context.db, request.query.state, request.query.limit),
      }),
    });
  };
}
