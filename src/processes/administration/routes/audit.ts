/** The audit: who changed what, verification of the record, and its export. */
import { Readable } from 'node:stream';
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { listAudit, type RecordFacts } from '../../../access/audit/audit-list.ts';
import { exportAudit } from '../../../access/audit/export.ts';
import { openHeadFile } from '../../../access/audit/head-file.ts';
import { cutAudit, findCutPlace, keepCut } from '../../../access/audit/shortening.ts';
import { verifyAudit } from '../../../access/audit/verification.ts';
import { auditOperations } from '../../../api/audit.ts';
import type { Queryable } from '../../../database/connection.ts';
import { requireFeature } from '../../../registry/features.ts';
import { serve } from '../../../rest/serve.ts';
import { isRecordWithin } from '../audit-scope.ts';
import { type AdministrationContext, write } from '../context.ts';

export function auditRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, auditOperations.list, async (request) => {
      const { after, before = after, ...filter } = request.query;
      const { groups } = actorOf(request);
      const sees =
        groups === null ? undefined : (q: Queryable, record: RecordFacts) => isRecordWithin(q, record, groups);
      return await listAudit(context.db, { ...filter, before, sees });
    });

    serve(
      app,
      auditOperations.verify,
      async ({ query }) => await verifyAudit(context.db, await openHeadFile(context.home), query.trustKey ?? null),
    );

    serve(app, auditOperations.export, async (request) => {
      const lines = exportAudit(context.db, await openHeadFile(context.home), request.query);
      // A failure before the first line can still be answered.
      const first = await lines.next();
      return Readable.from(resumed(first, lines));
    });

    serve(app, auditOperations.cutPlace, async ({ query }) => {
      return { place: (await findCutPlace(context.db, query.before)) ?? null };
    });

    serve(app, auditOperations.cut, async ({ body, administrator }) => {
      const file = await openHeadFile(context.home);
      const cut = await write(context, async (tx) => {
        await requireFeature(tx, context.features, 'retention', 'Cutting the audit');
        return await cutAudit(tx, file, { place: body, by: administrator, exportSha256: body.exportSha256 ?? null });
      });
      await keepCut(file, cut);
      return cut;
    });
  };
}

async function* resumed(first: IteratorResult<string>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done !== true) yield first.value;
  yield* rest;
}
