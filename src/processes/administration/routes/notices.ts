/** Who is told what. */
import type { FastifyPluginAsync } from 'fastify';
import { noticeOperations } from '../../../api/notices.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import { addTarget, listTargets, readTarget, removeTarget } from '../../../notices/target-store.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

export function noticeRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, noticeOperations.list, async () => ({ targets: await listTargets(context.db) }));

    serve(
      app,
      noticeOperations.add,
      async ({ body }) =>
        await write(context, async (tx) => {
          const name = await addTarget(tx, context.masterKeys, body);
          const added = await readTarget(tx, name);
          if (added === undefined) throw new BrambleError('ERR_INTERNAL', 'The target is not there.');
          return added;
        }),
    );

    serve(app, noticeOperations.remove, async ({ params: { name } }) => {
      await write(context, async (tx) => {
        if ((await removeTarget(tx, name)) === 'not-found') throw notFound('target', name);
      });
    });
  };
}
