/** The server by which mail is sent. */
import type { FastifyPluginAsync } from 'fastify';
import { noticeOperations } from '../../../api/notices.ts';
import { BrambleError } from '../../../base/errors.ts';
import { removeMailServer, setMailServer, shownMailServer } from '../../../notices/mail-server-store.ts';
import { answerEtag, refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';

const row = { table: 'notice_mail_server' } as const;

export function mailServerRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, noticeOperations.mailServer, async (_request, reply) => {
      await answerEtag(context.db, reply, row);
      return { mailServer: await shownMailServer(context.db) };
    });

    serve(
      app,
      noticeOperations.setMailServer,
      async ({ body, headers }) =>
        await write(context, async (tx) => {
          await refuseStale(tx, { headers }, row);
          await setMailServer(tx, context.masterKeys, body);
          return (await shownMailServer(tx)) ?? neverThere();
        }),
    );

    serve(app, noticeOperations.removeMailServer, async (request) => {
      await write(context, async (tx) => {
        await refuseStale(tx, request, row);
        if ((await removeMailServer(tx)) === 'not-found') {
          throw new BrambleError('ERR_NOT_FOUND', 'There is no mail server.');
        }
      });
    });
  };
}

export function neverThere(): never {
  throw new BrambleError('ERR_INTERNAL', 'What was just written is not there.');
}
