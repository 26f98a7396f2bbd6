/** Who is told what. */
import type { FastifyPluginAsync } from 'fastify';
import { noticeOperations } from '../../../api/notices.ts';
import { newId } from '../../../base/ids.ts';
import { notFound } from '../../../base/not-found.ts';
import { recordEvent } from '../../../domain/events.ts';
import {
  addTarget,
  changeKey,
  changeKinds,
  listTargets,
  readTarget,
  readTellableTarget,
  removeTarget,
} from '../../../notices/target-store.ts';
import { teller } from '../../../notices/tell.ts';
import { refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { neverThere } from './mail-server.ts';

/** More than an attempt takes. */
const testMs = 60_000;

export function noticeRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, noticeOperations.list, async () => ({ targets: await listTargets(context.db) }));

    serve(
      app,
      noticeOperations.add,
      async ({ body }) =>
        await write(context, async (tx) => {
          const name = await addTarget(tx, context.masterKeys, body);
          return (await readTarget(tx, name)) ?? neverThere();
        }),
    );

    serve(
      app,
      noticeOperations.change,
      async ({ params: { name }, body: { kinds }, headers }) =>
        await write(context, async (tx) => {
          await refuseStale(tx, { headers }, { table: 'notice_target', key: name });
          if ((await changeKinds(tx, name, kinds)) === 'not-found') throw notFound('target', name);
          return (await readTarget(tx, name)) ?? neverThere();
        }),
    );

    serve(
      app,
      noticeOperations.rekey,
      async ({ params: { name }, body: { key }, headers }) =>
        await write(context, async (tx) => {
          await refuseStale(tx, { headers }, { table: 'notice_target', key: name });
          const outcome = await changeKey(tx, context.masterKeys, name, key);
          if (outcome === 'not-found') throw notFound('target', name);
          return (await readTarget(tx, name)) ?? neverThere();
        }),
    );

    const tell = teller(context);
    serve(app, noticeOperations.test, async ({ params: { name }, administrator }) => {
      const target = await readTellableTarget(context.db, name);
      if (target === undefined) throw notFound('target', name);
      const message = `${administrator} sent this to see whether notices arrive.`;
      const notice = { id: newId<string>(), at: new Date(), kind: 'test', subject: null, message };
      const { kind, answer } = await tell({ target, notice }, AbortSignal.timeout(testMs));
      await write(context, async (tx) => {
        const event = `${administrator} had a test notice sent to ${name}: ${kind}, ${answer}`;
        await recordEvent(tx, { kind: 'notice-tested', subject: name, message: event });
      });
      return { delivered: kind === 'delivered', answer };
    });

    serve(app, noticeOperations.remove, async ({ params: { name }, headers }) => {
      await write(context, async (tx) => {
        await refuseStale(tx, { headers }, { table: 'notice_target', key: name });
        if ((await removeTarget(tx, name)) === 'not-found') throw notFound('target', name);
      });
    });
  };
}
